"""Each core node against its golden cases: inputs, and the outputs or the error they give.

The cases are data in `golden/`, one file per node type; `tests/meta` asks that every node has some.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from tests.unit.nodes.golden_cases import CASES, run_case

from graphport.core.errors import GraphportError, NodeError
from graphport.graph.port_types import KNOWN_TYPES
from graphport.nodes import CORE_NODES
from graphport.testing import RecordingContext

# Nodes that are not inline and pure, and what they are.
OTHERS: Final = {"component-preview": ("async", "pure"), "unload-model": ("async", "effect")}

each_case = pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(name, case, id=f"{name} {case['name']}") for name, cases in CASES.items() for case in cases],
)


def test_no_case_was_lost() -> None:
    assert sum(map(len, CASES.values())) >= 200
    assert len(CASES) >= 22


@each_case
def test_core_node(name: str, case: dict[str, Any]) -> None:
    assert set(case["inputs"]) == {port.name for port in CORE_NODES[name]().spec.inputs}

    if "error" in case:
        with pytest.raises(NodeError) as caught:
            run_case(name, case)
        assert (caught.value.code, caught.value.message) == (case["error"], case["message"])
    else:
        outputs, chunks = run_case(name, case)
        # As JSON, so that 1, 1.0 and true are told apart.
        assert json.dumps(outputs, sort_keys=True) == json.dumps(case["outputs"], sort_keys=True)
        assert json.dumps(chunks, sort_keys=True) == json.dumps(case.get("chunks", []), sort_keys=True)


@pytest.mark.parametrize("name", CASES)
def test_plain_core_nodes_are_inline_pure_and_trusted(name: str) -> None:
    node_type = CORE_NODES[name]()

    assert (node_type.spec.execution, node_type.spec.effect) == OTHERS.get(name, ("inline", "pure"))
    assert node_type.trusted
    assert {port.type for port in (*node_type.spec.inputs, *node_type.spec.outputs)} <= KNOWN_TYPES


def test_texts_and_numbers_that_no_json_file_can_say() -> None:
    text, number = CORE_NODES["text-output"](), CORE_NODES["number-input"]()

    assert text({"text": b"x"}) == {"text": "\"b'x'\""}
    assert number({"value": 10**400}) == {"value": 10**400}
    for value in (float("inf"), float("nan")):
        with pytest.raises(NodeError, match="finite"):
            number({"value": value})
    with pytest.raises(NodeError, match="finite"):
        number({"value": "9" * 5000})


@pytest.mark.parametrize("name", ["vector-input", "vector-output"])
@pytest.mark.parametrize(
    "vector", [[float("inf")], [float("nan")], [10**400], "[" * 100_000], ids=["inf", "nan", "huge", "deep"]
)
def test_vectors_that_no_json_file_can_say_are_refused(name: str, vector: Any) -> None:
    with pytest.raises(NodeError, match="finite"):
        CORE_NODES[name]()({"vector": vector})


def test_a_tuple_is_a_vector_too() -> None:
    assert CORE_NODES["vector-output"]()({"vector": (1, 2)}) == {"vector": [1.0, 2.0]}


class Picture:
    """An object of a library for images."""


@pytest.mark.parametrize(("name", "port"), [("image-output", "image"), ("audio-output", "audio")])
def test_bytes_and_objects_of_libraries_pass_unchanged(name: str, port: str) -> None:
    node_type = CORE_NODES[name]()

    for value in (b"\x89PNG", Picture()):
        assert node_type({port: value})[port] is value
    with pytest.raises(NodeError, match="got b''"):
        node_type({port: b""})


@pytest.mark.parametrize("side", ["x", "height"])
def test_bounds_are_finite(side: str) -> None:
    bounds = {"x": 0, "y": 0, "width": 1, "height": 1} | {side: float("inf")}

    with pytest.raises(NodeError, match="pixels"):
        CORE_NODES["image-input"]()({"image": b"x", "bounds": bounds})


def test_positions_may_be_an_array() -> None:
    cloud = {"positions": memoryview(b"abc"), "colors": memoryview(b"abc")}

    assert CORE_NODES["point-cloud-output"]()({"point_cloud": cloud})["point_cloud"] is cloud


def test_unloading_needs_an_engine_that_runs_models() -> None:
    model = {"contractVersion": 2, "engine": "llamacpp", "modelId": "a", "modelPath": "/a.gguf"}
    running = CORE_NODES["unload-model"]()({"model_ref": model, "trigger": None}, RecordingContext())

    with pytest.raises(GraphportError) as caught:
        running.send(None)

    assert caught.value.code == "backend_unavailable"
