"""Deadlines of demands and time limits of nodes end the waiting, whatever the node does."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from tests.support.evaluation import Calls, bench, graph, make_type, many, turns

pytestmark = pytest.mark.anyio


class Never:
    """A node `never` that does not return by itself."""

    def __init__(self, execution: str, **spec: Any) -> None:
        self.release = threading.Event()
        self.cancelled = asyncio.Event()
        self.execution = execution
        handler = self._thread if execution == "thread" else self._async
        self.type = make_type("never", handler, inputs=[many("items")], execution=execution, **spec)
        self.runs = 0

    def _thread(self, _inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        self.runs += 1
        self.release.wait(20)
        return {"value": 1}

    async def _async(self, _inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        self.runs += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return {"value": 1}


both = pytest.mark.parametrize("execution", ["async", "thread"])


@both
@pytest.mark.parametrize("deadline_ms", [0, 10])
async def test_a_node_that_never_returns_ends_with_the_deadline(execution: str, deadline_ms: int) -> None:
    never = Never(execution)
    async with bench(never.type, Calls().source()) as b:
        b.open(graph({"n": "never", "fine": ("source", {"x": 1})}))

        assert await b.fails("n", deadline_ms=deadline_ms) == "deadline_exceeded"
        if never.runs and execution == "async":
            await never.cancelled.wait()
        assert await b.outputs("fine") == {"value": 1}
        assert len(b.evaluator.memo) == 1
        never.release.set()


@both
async def test_a_demand_whose_deadline_is_now_begins_nothing(execution: str) -> None:
    never = Never(execution)
    async with bench(never.type) as b:
        b.open(graph({"n": "never"}))

        assert await b.fails("n", deadline_ms=0) == "deadline_exceeded"
        assert never.runs == 0


async def test_a_deadline_that_passes_in_the_ready_queue_is_kept_though_the_loop_was_busy() -> None:
    """A node holds the loop, against its promise, so that no timer can fire before the next demand's turn."""
    calls = Calls()
    deadline_ms = 20

    def hold(_inputs: dict[str, Any]) -> dict[str, Any]:
        until = time.perf_counter() + deadline_ms / 1000
        while time.perf_counter() < until:
            pass
        return {"value": 1}

    async with bench(calls.inline("hold", hold), calls.source()) as b:
        b.open(graph({"h": "hold", "s": ("source", {"x": 1})}))
        b.evaluator.demand(1, 1, "h")
        b.evaluator.demand(2, 1, "s", deadline_ms=deadline_ms)
        b.evaluator.advance()

        assert (await b.sink.answer(2)).code == "deadline_exceeded"
        assert (await b.sink.answer(1)).outputs == {"value": 1}
        assert calls == ["h"]


@both
async def test_one_demands_deadline_is_not_the_others(execution: str) -> None:
    never = Never(execution)
    async with bench(never.type) as b:
        b.open(graph({"n": "never"}))
        patient = b.start("n")

        assert await b.fails("n", deadline_ms=0) == "deadline_exceeded"
        assert b.sink.get(patient) is None
        assert not never.cancelled.is_set()
        assert never.runs <= 1
        b.evaluator.cancel(patient)
        never.release.set()


async def test_an_answer_in_time_takes_the_deadline_away() -> None:
    async with bench(Calls().source()) as b:
        b.open(graph({"s": ("source", {"x": 1})}))
        for _ in range(2):
            assert await b.outputs("s", deadline_ms=100) == {"value": 1}
        while len(b.sink.answers) < 2:
            await turns()
        await asyncio.sleep(0.11)  # past the deadline: nothing may follow

        assert len(b.sink.answers) == 2


async def test_a_deadline_ends_a_long_row_of_inline_nodes() -> None:
    calls = Calls()
    nodes: dict[str, Any] = {"n0": ("source", {"x": 0})} | {f"n{place}": "total" for place in range(1, 30_000)}
    async with bench(calls.source(), calls.total()) as b:
        b.open(graph(nodes, *(f"n{place - 1}.value -> n{place}.items" for place in range(1, 30_000))))

        assert await b.fails("n29999", deadline_ms=0) == "deadline_exceeded"
        assert len(calls) < 30_000


@both
async def test_a_node_that_takes_longer_than_its_limit_fails_everyone_who_waits(execution: str) -> None:
    never = Never(execution, timeout_ms=10)
    async with bench(never.type) as b:
        b.open(graph({"n": "never"}))
        demands = [b.start("n"), b.start("n")]

        answers = [await b.sink.answer(demand) for demand in demands]

        assert [answer.code for answer in answers] == ["deadline_exceeded"] * 2
        assert answers[0].error is not None
        assert answers[0].error.node_id == "n"
        if execution == "async":
            await never.cancelled.wait()
        assert never.runs == 1
        never.release.set()


async def test_a_node_within_its_limit_is_left_alone() -> None:
    async def quick(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"value": 1}

    async with bench(make_type("quick", quick, timeout_ms=60_000)) as b:
        b.open(graph({"q": "quick"}))

        assert await b.outputs("q") == {"value": 1}
