"""What a demand with events is told of each node, in which order, and that others are told nothing."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tests.support.evaluation import Calls, Door, bench, graph, make_type, streamed, until

pytestmark = pytest.mark.anyio

PAIR = graph({"s": ("source", {"x": 1}), "t": "total"}, "s.value -> t.items")


def kinds(answer: Any) -> list[tuple[str, str]]:
    return [(node, event["event"]) for node, event in answer.events]


async def test_each_node_is_started_and_completed_and_later_found_in_the_cache() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(PAIR)

        first = await b.demand("t", events=True)
        again = await b.demand("t", events=True)

        assert kinds(first) == [
            ("", "planned"),
            ("s", "started"),
            ("s", "completed"),
            ("t", "started"),
            ("t", "completed"),
        ]
        assert first.events[0][1] == {"event": "planned", "nodes": 2}
        assert first.events[2][1]["us"] >= 0
        assert kinds(again) == [("", "planned"), ("t", "cached")]
        assert again.meta["cached"]
        assert not (await b.demand("t")).events


async def test_a_node_that_fails_is_told_before_the_last_message() -> None:
    def fail(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        raise ValueError("no")

    async with bench(make_type("fail", fail)) as b:
        b.open(graph({"f": "fail"}))

        answer = await b.demand("f", events=True)

        assert kinds(answer) == [("", "planned"), ("f", "started"), ("f", "failed")]
        assert answer.events[-1][1]["code"] == "node_failed"


async def test_a_skipped_node_is_told() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(
            graph(
                {"c": ("source", {"x": False}), "gate": "conditional", "t": "total"},
                "c.value -> gate.condition",
                "c.value -> gate.value",
                "gate.true_out -> t.items",
            )
        )

        answer = await b.demand("t", events=True)

        assert kinds(answer)[-1] == ("t", "skipped")
        assert ("gate", "completed") in kinds(answer)


@pytest.mark.parametrize("execution", ["async", "thread"])
async def test_progress_reaches_whoever_asked_for_events(execution: str) -> None:
    def report(ctx: Any) -> None:
        ctx.progress(0.25, "a quarter")
        ctx.progress(7, "too much")
        ctx.progress(text="\ud800" + "x" * 2_000)
        ctx.progress(float("nan"))

    async def later(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        report(ctx)
        await asyncio.sleep(0)
        return {"value": 1}

    def on_thread(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        report(ctx)
        return {"value": 1}

    handler: Any = later if execution == "async" else on_thread
    async with bench(make_type("work", handler, execution=execution, effect="volatile")) as b:
        b.open(graph({"w": "work"}))

        told = await b.demand("w", events=True)
        untold = await b.demand("w")

        reports = [event for _, event in told.events if event["event"] == "progress"]
        assert [event["fraction"] for event in reports] == [0.25, 1.0, None, None]
        assert [event["text"] for event in reports] == ["a quarter", "too much", "?" + "x" * 999, ""]
        assert not untold.events


async def test_a_demand_that_joins_is_told_of_the_joined_node() -> None:
    door = Door()

    async def slow(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await door.wait()
        ctx.progress(0.5)
        return {"value": 1}

    async with bench(make_type("slow", slow)) as b:
        b.open(graph({"w": "slow"}))
        first = b.start("w")
        await door.reached.wait()
        second = b.start("w", events=True)

        door.opened.set()
        answers = await asyncio.gather(b.sink.answer(first), b.sink.answer(second))

        assert not answers[0].events
        assert kinds(answers[1]) == [("", "planned"), ("w", "started"), ("w", "progress"), ("w", "completed")]
        assert door.entries == 1


@pytest.mark.parametrize("execution", ["async", "thread"])
async def test_a_node_is_held_back_by_the_one_demand_that_is_behind(execution: str) -> None:
    sent: list[int] = []
    door, joined = Door(), threading.Event()

    async def count(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await door.wait()
        for number in range(1_000):
            sent.append(number)
            await ctx.stream("text", "x")
        return {"text": ""}

    def count_on_thread(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        joined.wait()
        for number in range(1_000):
            sent.append(number)
            ctx.stream("text", "x")
        return {"text": ""}

    handler: Any = count if execution == "async" else count_on_thread
    async with bench(make_type("count", handler, outputs=[streamed("text")], execution=execution)) as b:
        b.open(graph({"c": "count"}))
        b.sink.hold(1)
        slow, deaf = b.start("c", stream=True), b.start("c")
        await until(lambda: any(len(flight.waiters) == 2 for flight in b.evaluator.flights.values()))
        door.opened.set()
        joined.set()
        await b.sink.streamed(slow)
        await until(lambda: len(sent) >= (1 if execution == "async" else 257))
        assert len(sent) <= 300
        assert b.sink.get(deaf) is None

        b.sink.release()

        assert (await b.sink.answer(slow)).text() == "x" * 1_000
        assert (await b.sink.answer(deaf)).outputs == {"text": ""}


async def test_a_demand_that_is_behind_and_leaves_lets_the_others_go_on() -> None:
    async def count(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        for _ in range(10):
            await ctx.stream("text", "x")
        return {"text": ""}

    async with bench(make_type("count", count, outputs=[streamed("text")])) as b:
        b.open(graph({"c": "count"}))
        b.sink.hold(1)
        slow, other = b.start("c", stream=True), b.start("c", stream=True)
        await b.sink.streamed(slow)

        b.evaluator.cancel(slow)

        assert (await b.sink.answer(other)).text() == "x" * 10
