"""What the core nodes declare is what they do: outputs, streams, inputs, types and errors, over all golden cases."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.unit.nodes.golden_cases import CASES, run_case

from graphport.contracts.inference import ChatDone, ChatText
from graphport.graph.port_types import check_value
from graphport.nodes import CORE_NODES
from graphport.testing import RecordingContext

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from graphport.contracts.inference import ChatEvent

Emission = tuple[dict[str, Any], list[tuple[str, Any]]]

SERVED: Final = "llamacpp-inference"
# The others have ports of their own in each graph.
PLAIN: Final = [name for name, load in CORE_NODES.items() if load().shape is None]
_CODE: Final = re.compile(r"`([a-z]+_[a-z_]+)`")


class Answering:
    """A gateway that gives every prompt the same answer."""

    async def chat(self, *_: Any) -> AsyncGenerator[ChatEvent, None]:
        yield ChatText("Hello")
        yield ChatDone(finish_reason="stop")


def answer() -> Emission:
    """Run the node that has no golden cases, because it needs a model."""
    node_type = CORE_NODES[SERVED]()
    context = RecordingContext(
        services={"inference": Answering()}, streams=[port.name for port in node_type.spec.outputs if port.stream]
    )
    inputs = {port.name: port.default for port in node_type.spec.inputs} | {"prompt": "Hi", "model_path": "tiny"}

    async def run() -> dict[str, Any]:
        outputs: dict[str, Any] = await node_type(inputs, context)
        return outputs

    return asyncio.run(run()), context.chunks


def emissions(name: str) -> list[Emission]:
    """What a node emits in all its cases that end well."""
    if name == SERVED:
        return [answer()]
    return [run_case(name, case) for case in CASES[name] if "outputs" in case]


def function_of(name: str) -> Any:
    return inspect.unwrap(CORE_NODES[name]().handler)


@pytest.mark.parametrize("name", PLAIN)
def test_declared_outputs_are_emitted_outputs(name: str) -> None:
    spec = CORE_NODES[name]().spec
    declared = {port.name for port in spec.outputs}

    emitted = [set(outputs) for outputs, _ in emissions(name)]

    assert emitted
    if spec.gate:
        assert all(ports < declared and ports for ports in emitted)
        assert set.union(*emitted) == declared
    else:
        assert all(ports == declared for ports in emitted)


@pytest.mark.parametrize("name", PLAIN)
def test_declared_streams_are_streamed_outputs(name: str) -> None:
    declared = {port.name for port in CORE_NODES[name]().spec.outputs if port.stream}

    for _, chunks in emissions(name):
        assert {port for port, _ in chunks} == declared


@pytest.mark.parametrize("name", PLAIN)
def test_no_output_is_always_null(name: str) -> None:
    for port in CORE_NODES[name]().spec.outputs:
        assert any(outputs.get(port.name) is not None for outputs, _ in emissions(name)), port.name


@pytest.mark.parametrize("name", PLAIN)
def test_outputs_are_of_their_declared_types(name: str) -> None:
    ports = {port.name: port for port in CORE_NODES[name]().spec.outputs}

    for outputs, _ in emissions(name):
        for port, value in outputs.items():
            assert check_value(ports[port], value) is None, port


@pytest.mark.parametrize("name", PLAIN)
def test_no_declared_input_is_ignored(name: str) -> None:
    tree = ast.parse(inspect.getsource(inspect.getmodule(function_of(name))))  # type: ignore[arg-type]
    functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    read = {
        one.id
        for function in functions
        for statement in function.body
        for one in ast.walk(statement)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)
    }
    # A function that takes the whole map of inputs reads inputs["name"].
    read |= {
        one.slice.value
        for one in ast.walk(tree)
        if isinstance(one, ast.Subscript)
        and isinstance(one.value, ast.Name)
        and one.value.id == "inputs"
        and isinstance(one.slice, ast.Constant)
        and isinstance(one.slice.value, str)
    }

    assert {port.name for port in CORE_NODES[name]().spec.inputs} <= read


@pytest.mark.parametrize("name", PLAIN)
def test_every_port_says_what_it_is_for(name: str) -> None:
    spec = CORE_NODES[name]().spec

    for port in (*spec.inputs, *spec.outputs):
        assert port.description.endswith("."), port.name


@pytest.mark.parametrize("name", CASES)
def test_documented_errors_are_those_of_the_cases(name: str) -> None:
    documentation = inspect.getdoc(function_of(name)) or ""
    _, _, raises = documentation.partition("NodeError:")
    documented = set(_CODE.findall(raises.partition("InferenceError:")[0])) & {
        "missing_input",
        "invalid_input",
        "waiting_for_input",
    }

    assert documented == {case["error"] for case in CASES[name] if "error" in case}
