"""A demand of several nodes, or of all sinks: one evaluation, each needed node once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.evaluation import Calls, Door, bench, graph, make_type, until

pytestmark = pytest.mark.anyio

DIAMOND = graph(
    {"s": ("source", {"x": 1}), "l": "total", "r": "total", "end": "total", "alone": ("source", {"x": 9})},
    "s.value -> l.items",
    "s.value -> r.items",
    "l.value -> end.items",
    "r.value -> end.items",
)


async def test_several_nodes_are_answered_by_name_and_share_what_they_need() -> None:
    calls = Calls()
    async with bench(calls.source(effect="volatile"), calls.total()) as b:
        b.open(DIAMOND)

        answer = await b.demand(["r", "l"])

        assert answer.node == ["r", "l"]
        assert answer.outputs == {"r": {"value": 2}, "l": {"value": 2}}
        assert sorted(calls) == ["l", "r", "s"]
        assert answer.meta["ran"] == 3
        assert not answer.meta["cached"]


async def test_a_star_is_all_sinks() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(DIAMOND)

        answer = await b.demand("*")

        assert answer.node == "*"
        assert answer.outputs == {"end": {"value": 5}, "alone": {"value": 9}}
        again = await b.demand("*")
        assert (again.outputs, again.meta["cached"], again.meta["ran"]) == (answer.outputs, True, 0)


async def test_a_star_of_an_empty_graph_is_nothing() -> None:
    async with bench() as b:
        b.open({"nodes": [], "edges": []})

        answer = await b.demand("*")

        assert (answer.outputs, answer.meta["skipped"]) == ({}, False)


async def test_a_target_may_need_another() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(DIAMOND)

        assert await b.outputs(["end", "s"]) == {"end": {"value": 5}, "s": {"value": 1}}
        assert sorted(calls) == ["end", "l", "r", "s"]


async def test_an_unknown_one_of_several_is_named() -> None:
    async with bench(Calls().source(), Calls().total()) as b:
        b.open(DIAMOND)

        answer = await b.demand(["l", "edn"])

        assert answer.code == "unknown_node"
        assert "'edn'" in str(answer.error)
        assert "'end'" in str(answer.error)


async def test_a_failure_of_one_fails_the_demand() -> None:
    def fail(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        raise ValueError("no")

    calls = Calls()
    async with bench(make_type("fail", fail), calls.source()) as b:
        b.open(graph({"bad": "fail", "good": ("source", {"x": 1})}))

        answer = await b.demand("*")

        assert (answer.code, answer.node) == ("node_failed", "*")
        assert answer.error is not None
        assert answer.error.node_id == "bad"


async def test_a_gated_target_is_skipped_beside_one_that_is_not_and_holds_nobody_back() -> None:
    door = Door()

    async def slow(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        await door.wait()
        return {"value": False}

    calls = Calls()
    async with bench(make_type("slow", slow), calls.source(), calls.total()) as b:
        b.open(
            graph(
                {"c": "slow", "v": ("source", {"x": 1}), "gate": "conditional", "yes": "total", "free": "total"},
                "c.value -> gate.condition",
                "v.value -> gate.value",
                "gate.true_out -> yes.items",
                "v.value -> free.items",
            )
        )
        demand = b.start(["yes", "gate", "free"])
        await door.reached.wait()
        await until(lambda: "free" in calls)

        door.opened.set()
        answer = await b.sink.answer(demand)

        assert answer.outputs == {
            "yes": {},
            "gate": {"true_out": None, "false_out": 1},
            "free": {"value": 2},
        }
        assert not answer.meta["skipped"]


async def test_all_of_several_skipped_is_said() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(
            graph(
                {"c": ("source", {"x": False}), "gate": "conditional", "p": "total", "q": "total"},
                "c.value -> gate.condition",
                "c.value -> gate.value",
                "gate.true_out -> p.items",
                "gate.true_out -> q.items",
            )
        )

        answer = await b.demand("*")

        assert answer.outputs == {"p": {}, "q": {}}
        assert answer.meta["skipped"]


async def test_a_cancel_of_several_stops_all() -> None:
    door, seen = Door(), []

    async def slow(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        try:
            await door.wait()
        finally:
            seen.append(ctx.node_id)
        return {"value": 1}

    async with bench(make_type("slow", slow, inputs=["k"])) as b:
        b.open(graph({"a": ("slow", {"k": 1}), "b": ("slow", {"k": 2})}))
        demand = b.start("*")
        await door.reached.wait()

        b.evaluator.cancel(demand)

        assert (await b.sink.answer(demand)).code == "cancelled"
    assert sorted(seen) in (["a"], ["a", "b"])
