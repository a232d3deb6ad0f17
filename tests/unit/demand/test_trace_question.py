"""Traces of runs: every node that a traced demand touched, in order, and nothing of demands that were not traced."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.compounds import held, inner
from tests.support.evaluation import Bench, Calls, Door, bench, graph, make_type, turns

from graphport.demand.questions import trace as trace_module
from graphport.demand.questions.metrics import metrics
from graphport.graph.plan import made
from graphport.server.queries import answer

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = pytest.mark.anyio


def trace(b: Bench, **args: Any) -> dict[str, Any]:
    asked: Generator[None, None, dict[str, Any]] = answer(b.evaluator, "trace", args)
    return made(asked)


def told(answered: dict[str, Any]) -> dict[str, str]:
    return {step["node"]: step["state"] for step in answered["steps"]}


async def test_every_node_is_there_in_the_order_in_which_it_was_done() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        nodes: dict[str, Any] = {"a": ("source", {"x": 1}), "b": ("source", {"x": 2}), "m": "total", "t": "total"}
        b.open(graph(nodes, "a.value -> m.items", "b.value -> m.items", "m.value -> t.items"))
        await b.outputs("a")
        answered = await b.demand("t", trace=True)
        result = trace(b)

    assert answered.events == ()
    assert told(result) == {"a": "cached", "b": "ran", "m": "ran", "t": "ran"}
    assert [step["node"] for step in result["steps"]] == ["a", "b", "m", "t"]
    assert (result["demand"], result["node"], result["state"], result["dropped"]) == (2, "t", "completed", 0)
    times = [time for step in result["steps"] for time in (step["started_us"], step["ended_us"])]
    assert times == sorted(times)
    assert times[-1] <= result["total_us"]
    assert result["prepared_us"] <= result["total_us"]
    step = result["steps"][1]
    assert (step["type"], step["execution"], len(bytes.fromhex(step["key"])), step["bytes"] > 0) == (
        "source",
        "inline",
        16,
        True,
    )


async def test_demands_that_are_not_traced_leave_nothing() -> None:
    calls = Calls()
    async with bench(calls.source()) as b:
        b.open(graph({"a": ("source", {"x": 1})}))
        await b.outputs("a")
        assert answer(b.evaluator, "trace", {}) is None
        told_too = await b.demand("a", trace=True, events=True)
        assert told(trace(b, demand=2)) == {"a": "cached"}
        assert answer(b.evaluator, "trace", {"demand": 1}) is None
        assert answer(b.evaluator, "trace", {"session": 9}) is None

    assert [event["event"] for _, event in told_too.events] == ["planned", "cached"]


async def test_joined_failed_and_left() -> None:
    door = Door()

    async def wait(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        await door.wait()
        if inputs["x"] == "bad":
            raise ValueError
        return {"value": 1}

    calls = Calls()
    kind = make_type("slow", wait, inputs=["x"])
    async with bench(kind, calls.total(), calls.total("more")) as b:
        b.open(graph({"s": "slow", "t": "total", "u": "more"}, "s.value -> t.items", "s.value -> u.items"))
        first = b.start("t")
        await door.reached.wait()
        second = b.start("u", trace=True)
        left = b.start(["t", "u"], trace=True)
        await turns()
        b.evaluator.cancel(left)
        door.opened.set()
        await b.sink.answer(first)
        await b.sink.answer(second)
        await b.fails("t", inputs={"s": {"x": "bad"}}, trace=True)
        joined, given_up, failed = trace(b, demand=second), trace(b, demand=left), trace(b)
        await turns()

    assert told(joined) == {"s": "joined", "u": "ran"}
    assert (told(given_up), given_up["state"]) == ({"s": "left"}, "cancelled")
    assert (told(failed), failed["state"]) == ({"s": "failed"}, "node_failed")


async def test_graphs_within_nodes_are_traced_by_path_and_are_no_demands_of_their_own() -> None:
    calls = Calls()
    add = calls.inline("add", lambda inputs: {"value": inputs["a"] + 1}, inputs=["a"])
    held_graph = inner({"add": "add"}, "in-x.value -> add.a", inputs={"x": {}}, outputs={"y": "add.value"})
    async with bench(add) as b:
        b.open(graph({"c": held(held_graph, x=1)}))
        await b.outputs("c", trace=True)
        result, chrome = trace(b), trace(b, format="chrome")
        counts = made(metrics(b.evaluator))
        records = b.evaluator.sessions[1].history.records()

    steps = {step["node"]: step for step in result["steps"]}
    assert (steps["c"]["state"], steps["c/add"]["state"], steps["c/add"]["type"]) == ("ran", "ran", None)
    assert {"c", "c/add"} <= {row["name"] for row in chrome["traceEvents"]}
    assert (counts["demands"]["completed"], len(counts["runs"]), len(records)) == (1, 1, 1)
    assert counts["types"]["add"]["executions"] == 1


async def test_chrome_has_an_event_per_step_and_a_row_for_each_wait() -> None:
    doors = {"one": Door(), "two": Door()}

    async def wait(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await doors[ctx.node_id].wait()
        return {"value": 1}

    calls = Calls()
    async with bench(make_type("slow", wait), calls.source(), calls.total()) as b:
        nodes: dict[str, Any] = {"one": "slow", "two": ("slow", {}), "c": ("source", {"x": 1}), "t": "total"}
        b.open(graph(nodes, *(f"{name}.value -> t.items" for name in ("one", "two", "c"))))
        await b.outputs("c")
        demand = b.start("t", trace=True, fresh=True)
        await doors["one"].reached.wait()
        for door in doors.values():
            door.opened.set()
        await b.sink.answer(demand)
        chrome = trace(b, format="chrome")

    assert json.loads(json.dumps(chrome)) == chrome
    rows = {row["name"]: row for row in chrome["traceEvents"] if row["ph"] != "M"}
    assert {name: row["ph"] for name, row in rows.items()}["c"] == "i"
    assert all({"ts", "pid", "tid", "cat", "args"} <= row.keys() for row in rows.values())
    assert rows["t"]["tid"] == rows["c"]["tid"] == 0
    assert rows["one"]["tid"] >= 1
    named = {row["tid"] for row in chrome["traceEvents"] if row["name"] == "thread_name"}
    assert {row["tid"] for row in rows.values()} <= named


async def test_traces_are_bounded_together_and_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_module, "STEPS_KEPT", 10)
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        sources: dict[str, Any] = {f"s{place}": ("source", {"x": place}) for place in range(14)}
        b.open(graph({**sources, "t": "total"}, *(f"{name}.value -> t.items" for name in sources)))
        for place in range(6):
            await b.outputs(f"s{place}", trace=True)
        assert all(trace(b, demand=demand)["steps"] for demand in range(1, 7))
        await b.outputs("t", trace=True)
        last = trace(b)
        assert (len(last["steps"]), last["dropped"], last["steps"][-1]["node"]) == (10, 5, "t")
        assert [answer(b.evaluator, "trace", {"demand": demand}) for demand in range(1, 7)] == [None] * 6
