"""The decorator: what a function declares, how its handler calls it, and what is refused at import."""

from __future__ import annotations

import asyncio
import inspect
import types
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import pytest

from graphport.contracts.node import NodeType, PortSpec
from graphport.graph.authoring import node, node_type_of, node_types_of
from graphport.testing import RecordingContext

if TYPE_CHECKING:
    # Like a user's module, which needs the names for its type checker only.
    from collections.abc import AsyncIterator, Callable, Iterator

    from graphport.contracts.run_context import RunContext, ThreadRunContext


@node
def shout_loudly(text: str, times: int = 2) -> str:
    """Repeats a text in capitals.

    The second paragraph is for programmers.
    """
    return " ".join([text.upper()] * times)


class Parts(TypedDict):
    head: str
    length: int


@node
def split(text: str) -> Parts:
    return {"head": text[:1], "length": len(text)}


@node(outputs={"reply": str}, stream=True, effect="volatile", timeout_ms=500)
async def talk(text: str, ctx: RunContext) -> str:
    await ctx.stream("reply", text)
    return text


@node(type="raw", inputs=[PortSpec(name="a"), PortSpec(name="b", type="number")], outputs={"x": Any, "y": Any})
def take_all(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"x": inputs["a"], "y": inputs["b"]}


def ports(made: NodeType) -> list[tuple[str, str, bool, Any]]:
    return [(port.name, port.type, port.required, port.default) for port in made.spec.inputs]


def outputs(made: NodeType) -> list[tuple[str, str]]:
    return [(port.name, port.type) for port in made.spec.outputs]


def test_the_function_stays_a_function() -> None:
    assert inspect.isfunction(shout_loudly)
    assert shout_loudly("a", times=1) == "A"


def test_a_bare_function_declares_everything() -> None:
    spec = node_type_of(shout_loudly).spec

    assert spec.type == "shout-loudly"
    assert spec.title == "Shout loudly"
    assert spec.description == "Repeats a text in capitals."
    assert (spec.version, spec.category, spec.effect, spec.execution) == ("1", "other", "pure", "thread")
    assert ports(node_type_of(shout_loudly)) == [
        ("text", "string", True, None),
        ("times", "integer", False, 2),
    ]
    assert outputs(node_type_of(shout_loudly)) == [("value", "string")]
    assert not node_type_of(shout_loudly).trusted


def test_what_is_given_replaces_what_is_derived() -> None:
    @node(
        type="t",
        version="3",
        title="T!",
        category="c",
        description="d",
        effect="seeded",
        execution="inline",
        gate=True,
        content_digest=True,
        timeout_ms=7,
        trusted=True,
        outputs={"a": str, "b": int},
    )
    def anything(text: str) -> dict[str, Any]:
        """Not this."""
        return {"a": text}

    made = node_type_of(anything)

    assert made.spec.model_dump(exclude={"inputs", "outputs"}) == {
        "type": "t",
        "version": "3",
        "title": "T!",
        "category": "c",
        "description": "d",
        "effect": "seeded",
        "execution": "inline",
        "gate": True,
        "content_digest": True,
        "services": (),
        "timeout_ms": 7,
    }
    assert made.trusted
    assert made({"text": "x"}) == {"a": "x"}


def test_a_typed_dict_declares_its_keys_as_outputs() -> None:
    assert outputs(node_type_of(split)) == [("head", "string"), ("length", "integer")]
    assert node_type_of(split)({"text": "abc"}) == {"head": "a", "length": 3}


def test_one_output_takes_the_returned_value() -> None:
    assert node_type_of(shout_loudly)({"text": "a", "times": 1}) == {"value": "A"}


def test_one_output_that_is_no_map_takes_a_map_of_outputs_where_the_hint_says_map() -> None:
    @node(outputs={"text": str})
    def anything() -> dict[str, str]:
        return {"text": "x"}

    @node(outputs={"table": dict})
    def other() -> dict[str, str]:
        return {"text": "x"}

    assert node_type_of(anything)({}) == {"text": "x"}
    assert node_type_of(other)({}) == {"table": {"text": "x"}}


def test_nothing_returned_is_no_outputs() -> None:
    @node(effect="effect")
    def sink(text: str) -> None: ...

    @node(effect="effect")
    async def slow_sink(text: str) -> None: ...

    assert node_type_of(sink).spec.outputs == ()
    assert node_type_of(sink)({"text": "x"}) == {}
    assert asyncio.run(node_type_of(slow_sink)({"text": "x"})) == {}


def test_no_hints_are_any() -> None:
    @node
    def anything(a, b=None):  # type: ignore[no-untyped-def]
        return a

    assert ports(node_type_of(anything)) == [("a", "any", True, None), ("b", "any", False, None)]
    assert outputs(node_type_of(anything)) == [("value", "any")]


def test_an_optional_input_is_not_required_and_a_literal_gives_choices() -> None:
    @node
    def anything(a: str | None, b: Literal["x", "y"] = "x", *, c: Literal[1, 2] | None = None) -> str:
        return b

    assert ports(node_type_of(anything)) == [
        ("a", "string", False, None),
        ("b", "string", False, "x"),
        ("c", "integer", False, None),
    ]
    assert [port.choices for port in node_type_of(anything).spec.inputs] == [None, ("x", "y"), (1, 2)]


def test_port_specs_replace_those_of_their_parameters() -> None:
    @node(inputs=[PortSpec(name="heat", type="number", min=0, max=2)])
    def anything(text: str, heat: float = 0.5) -> str:
        return text

    text, heat = node_type_of(anything).spec.inputs
    assert (text.name, text.required) == ("text", True)
    assert (heat.min, heat.max, heat.default) == (0, 2, 0.5)


def test_inputs_may_be_names_with_types() -> None:
    @node(inputs={"a": str, "b": int})
    def anything(**given: Any) -> int:
        return len(given)

    assert ports(node_type_of(anything)) == [("a", "string", True, None), ("b", "integer", True, None)]
    assert node_type_of(anything)({"a": "x", "b": 1}) == {"value": 2}


def test_the_raw_form_gets_the_whole_map() -> None:
    assert node_type_of(take_all)({"a": 1, "b": 2}) == {"x": 1, "y": 2}


def test_a_port_called_inputs_is_not_the_raw_form() -> None:
    @node(inputs=[PortSpec(name="inputs", multiple=True)])
    def anything(inputs: list[Any]) -> int:
        return len(inputs)

    assert node_type_of(anything)({"inputs": [1, 2]}) == {"value": 2}


def test_the_raw_form_may_have_a_context_and_one_output() -> None:
    @node(inputs=[PortSpec(name="a")], outputs={"x": str})
    def anything(inputs: dict[str, Any], ctx: ThreadRunContext) -> dict[str, Any]:
        return {"x": f"{inputs['a']} {ctx.node_id}"}

    assert node_type_of(anything)({"a": 1}, RecordingContext(node_id="n")) == {"x": "1 n"}


def test_async_functions_are_async_nodes_and_may_stream() -> None:
    made = node_type_of(talk)
    context = RecordingContext(streams=["reply"])

    result = asyncio.run(made({"text": "hi"}, context))

    assert result == {"reply": "hi"}
    assert context.chunks == [("reply", "hi")]
    assert made.spec.execution == "async"
    assert made.spec.streams
    assert [port.name for port in made.spec.inputs] == ["text"]


def test_an_async_function_of_several_outputs_returns_their_map() -> None:
    @node(outputs={"a": int, "b": int}, stream=["b"])
    async def anything(x: int) -> dict[str, int]:
        return {"a": x, "b": x + 1}

    assert asyncio.run(node_type_of(anything)({"x": 1})) == {"a": 1, "b": 2}
    assert [port.stream for port in node_type_of(anything).spec.outputs] == [False, True]


@pytest.mark.parametrize("raises_in", ["sync", "async"])
def test_the_context_is_known_by_its_annotation_too(raises_in: str) -> None:
    @node
    def sync(run: ThreadRunContext, x: int) -> str:
        return f"{run.node_id}{x}"

    @node
    async def waits(x: int, run: RunContext) -> str:
        return f"{run.node_id}{x}"

    context = RecordingContext(node_id="n")
    if raises_in == "sync":
        assert node_type_of(sync)({"x": 1}, context) == {"value": "n1"}
    else:
        assert asyncio.run(node_type_of(waits)({"x": 1}, context)) == {"value": "n1"}


def test_handlers_carry_the_functions_name_and_module() -> None:
    for function in (shout_loudly, split, talk, take_all):
        handler = node_type_of(function).handler
        assert handler.__module__ == __name__
        assert handler.__qualname__ == function.__qualname__


def test_node_types_of_a_module_come_once_and_in_order() -> None:
    module = types.ModuleType("mine")
    first, second = node_type_of(shout_loudly), node_type_of(split)
    vars(module).update(b=shout_loudly, c=shout_loudly, NODE=first, a=second, d="no node", e=len)

    assert node_types_of(module) == [first, second]


def test_a_function_without_the_decorator_is_no_node() -> None:
    with pytest.raises(TypeError, match="decorate it with @node"):
        node_type_of(len)


def _no_parameter(text: str) -> str:
    return text


def _yields() -> Iterator[str]:
    yield "a"


async def _yields_async() -> AsyncIterator[str]:
    yield "a"


async def _waits() -> str:
    return ""


def _unresolved(text: Missing) -> str:  # type: ignore[name-defined]  # noqa: F821
    return ""


def _unresolved_return(text: str) -> Missing:  # type: ignore[name-defined]  # noqa: F821
    return ""


def _many(*texts: str) -> str:
    return ""


def _keywords(**texts: str) -> str:
    return ""


def _positional(text: str, /) -> str:
    return ""


def _wrong_default(count: int = "x") -> str:  # type: ignore[assignment]
    return ""


def _two_contexts(ctx: Any, other: RunContext) -> str:
    return ""


def _raw(inputs: dict[str, Any]) -> Any:
    return {}


SPEC = PortSpec(name="text", type="string")


@pytest.mark.parametrize(
    ("function", "options", "problem"),
    [
        (
            _no_parameter,
            {"inputs": [PortSpec(name="txt")]},
            "inputs has the port 'txt', but there is no parameter",
        ),
        (_no_parameter, {"inputs": [SPEC, SPEC]}, "inputs has two ports 'text'"),
        (_no_parameter, {"outputs": [SPEC, SPEC]}, "outputs has two ports 'text'"),
        (
            _no_parameter,
            {"outputs": ["text"]},
            "outputs should be PortSpecs or a map of name to type, got 'text'",
        ),
        (_no_parameter, {"execution": "async"}, "execution='async' does not go with def"),
        (_waits, {"execution": "inline"}, "execution='inline' does not go with async def"),
        (_waits, {"execution": "thread"}, "execution='thread' does not go with async def"),
        (_no_parameter, {"stream": ["other"]}, "stream names 'other', which is no output"),
        (
            _no_parameter,
            {"stream": True, "outputs": {"a": str, "b": str}},
            "stream=True needs exactly one output",
        ),
        (_no_parameter, {"timeout_ms": 0}, "timeout_ms: Input should be greater than 0"),
        (_no_parameter, {"effect": "odd"}, "effect: Input should be 'pure'"),
        (_yields, {}, "it yields"),
        (_yields_async, {}, "it yields"),
        (_unresolved, {}, "the type hint 'Missing' of parameter 'text' cannot be resolved"),
        (_unresolved_return, {}, "the type hint 'Missing' of the return value cannot be resolved"),
        (_many, {}, "parameter 'texts' cannot be an input port"),
        (_keywords, {}, "parameter 'texts' cannot be an input port"),
        (_positional, {}, "parameter 'text' cannot be an input port"),
        (
            _wrong_default,
            {},
            "the default of parameter 'count' does not fit its type: expected an integer, got 'x'",
        ),
        (_two_contexts, {}, "parameters 'ctx' and 'other' both ask for the context"),
        (_raw, {"inputs": [SPEC]}, "needs outputs="),
    ],
)
def test_a_wrong_declaration_names_the_function(
    function: Callable[..., Any], options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(TypeError) as caught:
        node(**options)(function)

    assert str(caught.value).startswith(f"Node function {__name__}.{function.__name__}: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize("thing", [len, int, "x", NodeType])
def test_only_functions_can_be_nodes(thing: Any) -> None:
    with pytest.raises(TypeError, match="@node takes a function"):
        node(thing)
