"""Where a node's inputs come from: demand, then edge, then data, then setting, then default."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from tests.support.evaluation import Calls, bench, graph, many

from graphport.contracts.node import PortSpec

pytestmark = pytest.mark.anyio

PORT = PortSpec(name="x", default="default", setting="wish")


def echo(calls: Calls, port: PortSpec = PORT) -> Any:
    return calls.inline("echo", lambda inputs: {"value": inputs[port.name]}, inputs=[port])


@pytest.mark.parametrize(
    ("demand", "edge", "data", "setting", "expected"),
    [
        ("demand", True, "data", "setting", "demand"),
        (None, True, "data", "setting", "edge"),
        (None, False, "data", "setting", "data"),
        (None, False, None, "setting", "setting"),
        (None, False, None, None, "default"),
        ("demand", False, None, None, "demand"),
    ],
)
async def test_the_nearest_source_wins(
    demand: str | None, edge: bool, data: str | None, setting: str | None, expected: str
) -> None:
    calls = Calls()
    async with bench(calls.source(), echo(calls)) as b:
        own = {} if data is None else {"x": data}
        settings = {} if setting is None else {"wish": setting}
        edges = ["s.value -> e.x"] if edge else []
        b.open(graph({"s": ("source", {"x": "edge"}), "e": ("echo", own)}, *edges, **settings))

        inputs = {} if demand is None else {"inputs": {"e": {"x": demand}}}

        assert await b.outputs("e", **inputs) == {"value": expected}


async def test_the_source_of_an_edge_that_the_demand_overrides_is_not_demanded() -> None:
    calls = Calls()
    async with bench(calls.source(), echo(calls)) as b:
        b.open(graph({"s": ("source", {"x": 1}), "e": "echo"}, "s.value -> e.x"))

        assert await b.outputs("e", inputs={"e": {"x": 2}}) == {"value": 2}
        assert calls == ["e"]


async def test_inputs_of_one_demand_do_not_reach_the_next() -> None:
    calls = Calls()
    async with bench(calls.source(), echo(calls)) as b:
        b.open(graph({"s": ("source", {"x": 1}), "e": "echo"}, "s.value -> e.x"))
        await b.outputs("e", inputs={"e": {"x": 2}})

        assert await b.outputs("e") == {"value": 1}


async def test_equal_inputs_of_two_demands_are_one_execution() -> None:
    calls = Calls()
    async with bench(echo(calls)) as b:
        b.open(graph({"e": "echo"}))

        await b.outputs("e", inputs={"e": {"x": {"a": [1], "b": 2}}})
        again = await b.demand("e", inputs={"e": {"x": {"b": 2, "a": [1]}}})

        assert calls == ["e"]
        assert again.meta["cached"]


@pytest.mark.parametrize("values", [(1, True), (1, 1.0), (0, False), ("1", 1), ([1], (1,)), ("a", b"a"), ({}, [])])
async def test_values_that_python_calls_equal_or_alike_are_told_apart(values: tuple[Any, Any]) -> None:
    calls = Calls()
    async with bench(echo(calls)) as b:
        b.open(graph({"e": "echo"}))

        outputs = [await b.outputs("e", inputs={"e": {"x": value}}) for value in values]

        assert [repr(each["value"]) for each in outputs] == [repr(value) for value in values]
        assert len(calls) == 2


async def test_a_list_of_the_demand_takes_the_place_of_all_edges_into_a_port_of_many() -> None:
    calls = Calls()
    listed = calls.inline("listed", lambda inputs: {"value": inputs["items"]}, inputs=[many("items")])
    async with bench(calls.source(), listed) as b:
        b.open(
            graph(
                {"s": ("source", {"x": 1}), "t": ("source", {"x": 2}), "l": "listed"},
                "s.value -> l.items",
                "t.value -> l.items",
            )
        )

        assert await b.outputs("l", inputs={"l": {"items": [9]}}) == {"value": [9]}
        assert calls == ["l"]


async def test_a_port_of_many_without_anything_is_an_empty_list() -> None:
    calls = Calls()
    listed = calls.inline("listed", lambda inputs: {"value": inputs["items"]}, inputs=[many("items")])
    async with bench(listed) as b:
        b.open(graph({"l": "listed"}))

        assert await b.outputs("l") == {"value": []}


async def test_inputs_for_a_node_that_is_not_needed_are_checked_and_left_out() -> None:
    calls = Calls()
    async with bench(calls.source(), echo(calls)) as b:
        b.open(graph({"s": ("source", {"x": 1}), "e": "echo"}))

        assert await b.outputs("s", inputs={"e": {"x": 5}}) == {"value": 1}
        assert await b.fails("s", inputs={"e": {"no-port": 5}}) == "invalid_input"
        assert calls == ["s"]


async def test_a_required_input_that_nobody_gives_is_missing() -> None:
    calls = Calls()
    port = PortSpec(name="x", required=True, external=True, type="string")
    async with bench(echo(calls, port)) as b:
        b.open(graph({"e": "echo"}))

        answer = await b.demand("e")

        assert answer.code == "missing_input"
        assert answer.error is not None
        assert answer.error.node_id == "e"
        assert not calls
        assert await b.outputs("e", inputs={"e": {"x": "given"}}) == {"value": "given"}
        assert await b.fails("e", inputs={"e": {"x": None}}) == "invalid_input"


@pytest.mark.parametrize(
    ("kind", "value"),
    [("string", 5), ("number", "5"), ("number", True), ("integer", 1.5), ("boolean", 1), ("list", "a")],
)
async def test_a_value_of_the_wrong_type_is_invalid(kind: str, value: Any) -> None:
    calls = Calls()
    async with bench(echo(calls, PortSpec(name="x", type=kind))) as b:
        b.open(graph({"e": "echo"}))

        answer = await b.demand("e", inputs={"e": {"x": value}})

        assert answer.code == "invalid_input"
        assert answer.error is not None
        assert answer.error.node_id == "e"
        assert not calls


@pytest.mark.parametrize("value", [10**5_000, [10**5_000]], ids=["large", "listed"])
async def test_a_wrong_value_that_python_cannot_print_is_invalid_all_the_same(value: Any) -> None:
    async with bench(echo(Calls(), PortSpec(name="x", type="string"))) as b:
        b.open(graph({"e": "echo"}))

        assert await b.fails("e", inputs={"e": {"x": value}}) == "invalid_input"


async def test_what_does_not_exist_is_named() -> None:
    calls = Calls()
    async with bench(echo(calls)) as b:
        b.open(graph({"echo-1": "echo"}))

        assert await b.fails("echo-1", session=9) == "unknown_session"
        answer = await b.demand("echo-2")
        assert answer.code == "unknown_node"
        assert "echo-1" in str(answer.error), "it suggests what was meant"
        answer = await b.demand("echo-1", inputs={"nobody": {"x": 1}})
        assert answer.error is not None
        assert (answer.code, answer.error.node_id) == ("unknown_node", "nobody"), "not the demanded one"
        assert await b.fails("echo-1", inputs={"echo-1": {"y": 1}}) == "invalid_input"
        assert not calls


class Large(list[int]):
    """A result that can be watched."""


async def test_results_go_with_their_demand_and_wait_for_no_collector() -> None:
    made: list[weakref.ref[Large]] = []

    def make(_inputs: dict[str, Any]) -> dict[str, Any]:
        value = Large()
        made.append(weakref.ref(value))
        return {"value": value}

    calls = Calls()
    source = calls.inline("large", make, effect="volatile")
    length = calls.inline("length", lambda inputs: {"value": len(inputs["x"])}, inputs=["x", "y"], effect="volatile")
    async with bench(source, length) as b:
        b.open(graph({"s": "large", "n": "length"}, "s.value -> n.x"))
        gc.collect()
        gc.disable()
        try:
            await b.outputs("n")
            await b.outputs("n", inputs={"n": {"y": 1}})
            await b.outputs("n", fresh=True)
        finally:
            gc.enable()

        assert [reference() for reference in made] == [None] * 3
