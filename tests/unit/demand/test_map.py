"""A graph for each item of a list: order, limits, failures, and what is cached."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.compounds import inner
from tests.support.evaluation import Calls, Door, bench, graph, make_type, until

from graphport.contracts.node import PortSpec

if TYPE_CHECKING:
    from graphport.contracts.node import NodeType

pytestmark = pytest.mark.anyio


def parts(calls: Calls) -> list[NodeType]:
    def divide(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"value": 12 // inputs["x"]}

    return [
        calls.source(),
        calls.inline("add", lambda i: {"value": i["a"] + i["b"]}, inputs=["a", PortSpec(name="b", default=1)]),
        calls.inline("divide", divide, inputs=["x"]),
    ]


ADDING = inner(
    {"add": "add"},
    "in-item.value -> add.a",
    "in-by.value -> add.b",
    inputs={"item": {}, "by": {"default": 1}},
    outputs={"y": "add.value"},
)
DIVIDING = inner({"d": "divide"}, "in-item.value -> d.x", inputs={"item": {}}, outputs={"y": "d.value"})


def mapped(held: dict[str, Any], **data: Any) -> tuple[str, dict[str, Any]]:
    return ("map", {"graph": held, **data})


async def test_outputs_are_lists_in_the_order_of_the_items() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"l": ("source", {"x": [5, 1, 3]}), "m": mapped(ADDING, by=10)}, "l.value -> m.items"))

        assert await b.outputs("m") == {"y": [15, 11, 13]}


@pytest.mark.parametrize("concurrency", [1, 2, 4, 100])
async def test_slow_items_do_not_change_the_order(concurrency: int) -> None:
    async def late(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        for _ in range(inputs["x"]):
            await asyncio.sleep(0)
        return {"value": inputs["x"]}

    held = inner({"l": "late"}, "in-item.value -> l.x", inputs={"item": {}}, outputs={"y": "l.value"})
    async with bench(make_type("late", late, inputs=["x"])) as b:
        b.open(graph({"m": mapped(held, items=[30, 3, 20, 1, 0, 7], concurrency=concurrency)}))

        assert await b.outputs("m") == {"y": [30, 3, 20, 1, 0, 7]}


@pytest.mark.parametrize("concurrency", [1, 3, 4])
async def test_no_more_items_are_under_way_than_wanted(concurrency: int) -> None:
    under_way = most = 0

    async def count(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(10):
            await asyncio.sleep(0)
        under_way -= 1
        return {"value": 1}

    held = inner({"c": "count"}, "in-item.value -> c.x", inputs={"item": {}}, outputs={"y": "c.value"})
    async with bench(make_type("count", count, inputs=["x"])) as b:
        b.open(graph({"m": mapped(held, items=list(range(12)), concurrency=concurrency)}))
        await b.outputs("m")

        assert most == concurrency


async def test_the_index_of_an_item_is_given_if_it_is_asked_for() -> None:
    held = inner({"s": ("source", {"x": 0})}, inputs={"index": {}}, outputs={"y": "in-index.value"})
    async with bench(*parts(Calls())) as b:
        b.open(graph({"m": mapped(held, items=["a", "b", "c"])}))

        assert await b.outputs("m") == {"y": [0, 1, 2]}


async def test_of_no_items_come_empty_lists() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(graph({"m": mapped(ADDING, items=[])}))

        assert await b.outputs("m") == {"y": []}
        assert not calls


async def test_one_failure_names_its_item_and_ends_the_others() -> None:
    door, ended = Door(), []

    async def wait(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        if inputs["x"] == 2:
            await until(lambda: door.entries == 3)
            raise ValueError("two")
        try:
            await door.wait()
        finally:
            ended.append(inputs["x"])
        return {"value": 1}

    held = inner({"w": "wait"}, "in-item.value -> w.x", inputs={"item": {}}, outputs={"y": "w.value"})
    async with bench(make_type("wait", wait, inputs=["x"])) as b:
        b.open(graph({"m": mapped(held, items=list(range(20)))}))
        answer = await b.demand("m")

        assert answer.code == "node_failed"
        assert answer.error is not None
        assert answer.error.node_id == "m/2/w"
        assert answer.error.message == "item 2: node 'w' (wait) raised ValueError: two"
        assert answer.error.details == {"index": 2}
        await until(lambda: not b.evaluator.flights)
        assert sorted(ended) == [0, 1, 3]


async def test_only_an_item_that_is_new_is_evaluated() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(
            graph({"m": mapped(ADDING)})
            | {"nodes": [{"id": "m", "type": "map", "data": {"graph": ADDING, "items": []}}]}
        )
        first = await b.outputs("m", inputs={"m": {"items": [1, 2, 3]}})
        second = await b.outputs("m", inputs={"m": {"items": [1, 7, 2, 3]}})

        assert (first, second) == ({"y": [2, 3, 4]}, {"y": [2, 8, 3, 4]})
        assert len(calls) == 4


async def test_progress_counts_items() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"m": mapped(ADDING, items=[1, 2], concurrency=1)}))
        answer = await b.demand("m", events=True)

        told = [(event["fraction"], event["text"]) for node, event in answer.events if event["event"] == "progress"]
        assert told == [(0.5, "1 of 2"), (1.0, "2 of 2")]
        assert ("m/1/add", "completed") in [(node, event["event"]) for node, event in answer.events]


async def test_a_dead_output_of_an_item_is_null() -> None:
    held = inner(
        {"g": ("conditional", {"value": "yes"})},
        "in-item.value -> g.condition",
        inputs={"item": {"type": "boolean"}},
        outputs={"y": "g.true_out"},
    )
    async with bench() as b:
        b.open(graph({"m": mapped(held, items=[True, False, True])}))

        assert await b.outputs("m") == {"y": ["yes", None, "yes"]}


@pytest.mark.parametrize(("items", "concurrency"), [("text", 4), (5, 4), ([1], 0), ([1], "x")])
async def test_what_cannot_be_gone_through(items: Any, concurrency: Any) -> None:
    async with bench(*parts(Calls())) as b:
        nodes = {"l": ("source", {"x": items}), "c": ("source", {"x": concurrency}), "m": mapped(ADDING)}
        b.open(graph(nodes, "l.value -> m.items", "c.value -> m.concurrency"))

        assert await b.fails("m") == "invalid_input"


async def test_a_cancel_ends_all_items() -> None:
    door = Door()

    async def wait(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await door.wait()
        return {"value": 1}

    held = inner({"w": "wait"}, "in-item.value -> w.x", inputs={"item": {}}, outputs={"y": "w.value"})
    async with bench(make_type("wait", wait, inputs=["x"])) as b:
        b.open(graph({"m": mapped(held, items=[1, 2, 3])}))
        demand = b.start("m")
        await until(lambda: door.entries == 3)
        b.evaluator.cancel(demand)

        assert (await b.sink.answer(demand)).code == "cancelled"
        await until(lambda: not b.evaluator.flights)


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_many_items(count: int) -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"m": mapped(ADDING, items=list(range(count)))}))

        assert await b.outputs("m") == {"y": list(range(1, count + 1))}


async def test_a_map_gives_what_single_demands_give() -> None:
    items = [3, 1, 4, 1, 5, 9, 2, 6]
    async with bench(*parts(Calls())) as b:
        b.open(graph({"m": mapped(DIVIDING, items=items)}), session=1)
        b.open(graph({"c": ("graph", {"graph": DIVIDING})}), session=2)
        singles = [(await b.outputs("c", session=2, inputs={"c": {"item": item}}))["y"] for item in items]

        assert await b.outputs("m", session=1) == {"y": singles}
