"""A node that keeps what it has returned, or spoils what it was given, changes it for nobody else."""

from __future__ import annotations

import asyncio
from collections import UserDict
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.evaluation import bench, graph, make_type

from graphport.contracts.node import PortSpec
from graphport.graph.owned import owning_handler

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.contracts.node import NodeType

Nodes = dict[str, "str | tuple[str, dict[str, Any]]"]

pytestmark = pytest.mark.anyio

TWO = graph({"one": ("keeps", {"x": 1}), "two": ("keeps", {"x": 2})})


def keeper(execution: str) -> NodeType:
    """A node that returns one and the same map with one and the same list in it."""
    mine: dict[str, Any] = {"value": [], "rest": None}

    def keep(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        mine["value"].append(inputs["x"])
        mine["rest"] = inputs["x"]
        return mine

    async def keep_async(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        return keep(inputs, ctx)

    handler: Callable[..., Any] = keep_async if execution == "async" else keep
    return make_type("keeps", handler, inputs=["x"], outputs=["value", "rest"], execution=execution)


@pytest.mark.parametrize("execution", ["inline", "async", "thread"])
async def test_a_node_that_returns_the_same_list_again_leaves_earlier_results_alone(execution: str) -> None:
    async with bench(keeper(execution)) as b:
        b.open(TWO)
        first = await b.outputs("one")

        assert await b.outputs("two") == {"value": [1, 2], "rest": 2}

        assert first == {"value": [1], "rest": 1}
        assert await b.outputs("one") == {"value": [1], "rest": 1}


async def test_a_node_that_spoils_its_inputs_spoils_them_for_itself_alone() -> None:
    def spoil(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        inputs["x"]["deep"].append(99)
        inputs["y"].clear()
        return {"value": inputs["x"]["deep"]}

    def give(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        return {"value": {"deep": [1]}}

    spoils = make_type("spoils", spoil, inputs=["x", "y", "z"])
    async with bench(spoils, make_type("gives", give)) as b:
        nodes: Nodes = {"a": "gives", "one": ("spoils", {"y": [1], "z": 1}), "two": ("spoils", {"y": [1], "z": 2})}
        b.open(graph(nodes, "a.value -> one.x", "a.value -> two.x"))

        assert await b.outputs(["one", "two"]) == {"one": {"value": [1, 99]}, "two": {"value": [1, 99]}}
        assert await b.outputs("a") == {"value": {"deep": [1]}}
        given = {"x": {"deep": [5]}, "y": []}
        assert await b.outputs("one", inputs={"one": given}) == {"value": [5, 99]}
        assert given == {"x": {"deep": [5]}, "y": []}


async def test_data_that_a_node_spoils_is_whole_at_its_next_run() -> None:
    def spoil(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        inputs["x"].append(len(inputs["x"]))
        return {"value": inputs["x"]}

    async with bench(make_type("spoils", spoil, inputs=["x"], effect="volatile")) as b:
        b.open(graph({"a": ("spoils", {"x": [7]})}))

        assert [await b.outputs("a") for _ in range(3)] == [{"value": [7, 1]}] * 3


@pytest.mark.parametrize("execution", ["inline", "thread"])
@pytest.mark.parametrize(
    ("value", "named"),
    [
        (lambda: (x for x in "ab"), "a generator"),
        (lambda: map(str, [1]), "a map"),
        (lambda: enumerate([1]), "an enumerate"),
    ],
)
async def test_what_can_be_read_only_once_is_no_output(value: Callable[[], Any], named: str, execution: str) -> None:
    def give(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        return {"value": value()}

    async with bench(make_type("gives", give, execution=execution)) as b:
        b.open(graph({"a": "gives"}))

        answer = await b.demand("a")

    assert (answer.code, answer.error and answer.error.node_id) == ("unencodable_value", "a")
    assert f"returned {named} as 'value'" in str(answer.error)


async def test_a_handler_that_returns_a_generator_itself_is_told_so() -> None:
    def give(_inputs: dict[str, Any], _ctx: Any) -> Any:
        return (x for x in "ab")

    async with bench(make_type("gives", give)) as b:
        b.open(graph({"a": "gives"}))

        answer = await b.demand("a")

    assert answer.code == "node_failed"
    assert "returned generator; expected a mapping of its outputs: value" in str(answer.error)


async def test_a_map_of_another_class_is_taken_like_a_dict() -> None:
    kept = UserDict({"value": [1]})
    async with bench(make_type("gives", lambda _inputs, _ctx: kept)) as b:
        b.open(graph({"a": "gives"}))
        assert await b.outputs("a") == {"value": [1]}

        kept["value"].append(2)

        assert await b.outputs("a") == {"value": [1]}


@pytest.mark.parametrize(
    ("ports", "trusted", "copies"),
    [
        ((PortSpec(name="n", type="integer"),), False, False),
        ((PortSpec(name="t", type="string"),), False, False),
        ((PortSpec(name="v", type="vector"),), False, True),
        ((PortSpec(name="v"),), False, True),
        ((PortSpec(name="n", type="integer"), PortSpec(name="t", type="string")), False, True),
        ((PortSpec(name="v"),), True, False),
        ((), False, False),
    ],
)
def test_only_what_may_be_changed_costs_a_copy(ports: tuple[PortSpec, ...], trusted: bool, copies: bool) -> None:
    made = make_type("any", lambda _inputs, _ctx: {}, outputs=ports, trusted=trusted)

    assert (owning_handler(made) is not made.handler) is copies
