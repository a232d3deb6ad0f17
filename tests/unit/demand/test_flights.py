"""Executions that take time: shared by demands with one key, cancelled when the last one leaves, never joined after."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tests.support.evaluation import Calls, Door, bench, graph, make_type, many, turns

pytestmark = pytest.mark.anyio


class Gatekeeper:
    """A node `slow` in a thread or in the loop that says when it began and waits to be let go."""

    def __init__(self, execution: str, **spec: Any) -> None:
        self.execution = execution
        self.began = asyncio.Event()
        self.ended = asyncio.Event()
        self.runs = 0
        self.saw_cancel = False
        self._go_on = threading.Event()
        self._door = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        handler = self._on_thread if execution == "thread" else self._on_loop
        self.type = make_type("slow", handler, inputs=[many("items")], execution=execution, **spec)

    def let_go(self) -> None:
        self._go_on.set()
        self._door.set()

    def _on_thread(self, _inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        self.runs += 1
        self._loop.call_soon_threadsafe(self.began.set)
        self._go_on.wait(20)
        self.saw_cancel = ctx.cancelled
        self._loop.call_soon_threadsafe(self.ended.set)
        return {"value": self.runs}

    async def _on_loop(self, _inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        self.runs += 1
        self.began.set()
        try:
            await self._door.wait()
        except asyncio.CancelledError:
            self.saw_cancel = ctx.cancelled
            raise
        finally:
            self.ended.set()
        return {"value": self.runs}


both = pytest.mark.parametrize("execution", ["async", "thread"])


@both
async def test_two_demands_for_one_node_share_one_execution(execution: str) -> None:
    slow = Gatekeeper(execution)
    async with bench(slow.type, Calls().total()) as b:
        b.open(graph({"s": "slow", "t": "total"}, "s.value -> t.items"), session=1)
        b.open(graph({"s": "slow"}), session=2)
        demands = [b.start("s"), b.start("t"), b.start("s", session=2)]
        await slow.began.wait()
        slow.let_go()

        answers = [await b.sink.answer(demand) for demand in demands]

        assert [answer.outputs for answer in answers] == [{"value": 1}, {"value": 2}, {"value": 1}]
        assert sum(answer.meta["ran"] for answer in answers) == 2, "the slow node and the total"
        assert not any(answer.meta["cached"] for answer in answers)
        assert slow.runs == 1


@both
async def test_two_equal_nodes_of_one_demand_share_one_execution(execution: str) -> None:
    slow = Gatekeeper(execution)
    async with bench(slow.type, Calls().total()) as b:
        b.open(graph({"s": "slow", "r": "slow", "t": "total"}, "s.value -> t.items", "r.value -> t.items"))
        demand = b.start("t")
        await slow.began.wait()
        await turns()
        slow.let_go()

        assert (await b.sink.answer(demand)).outputs == {"value": 3}
        assert slow.runs == 1


@both
async def test_one_of_two_leaves_and_the_other_gets_the_result(execution: str) -> None:
    slow = Gatekeeper(execution)
    async with bench(slow.type) as b:
        b.open(graph({"s": "slow"}))
        first, second = b.start("s"), b.start("s")
        await slow.began.wait()

        b.evaluator.cancel(first)
        left = b.sink.get(first)
        slow.let_go()

        assert left is not None
        assert left.code == "cancelled", "told at once, not when the node ends"
        assert (await b.sink.answer(second)).outputs == {"value": 1}
        assert not slow.saw_cancel


@both
async def test_the_last_to_leave_cancels_the_node(execution: str) -> None:
    slow = Gatekeeper(execution)
    async with bench(slow.type) as b:
        b.open(graph({"s": "slow"}))
        demands = [b.start("s"), b.start("s")]
        await slow.began.wait()

        for demand in demands:
            b.evaluator.cancel(demand)
        codes = [answer.code for answer in b.sink.answers]
        if execution == "thread":
            slow.let_go()
        await slow.ended.wait()

        assert codes == ["cancelled", "cancelled"]
        assert slow.saw_cancel


@both
async def test_a_cancelled_execution_is_not_kept(execution: str) -> None:
    slow = Gatekeeper(execution)
    async with bench(slow.type) as b:
        b.open(graph({"s": "slow"}))
        demand = b.start("s")
        await slow.began.wait()
        b.evaluator.cancel(demand)
        slow.let_go()
        await slow.ended.wait()
        await turns()

        assert await b.outputs("s") == {"value": 2}


async def test_an_execution_that_is_being_cancelled_is_never_joined() -> None:
    clean_up, cleaning = asyncio.Event(), asyncio.Event()
    runs: list[int] = []

    async def slow(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        runs.append(1)
        if len(runs) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                cleaning.set()
                await clean_up.wait()
        return {"value": len(runs)}

    async with bench(make_type("slow", slow)) as b:
        b.open(graph({"s": "slow"}))
        first = b.start("s")
        await turns()
        b.evaluator.cancel(first)
        await cleaning.wait()

        assert await b.outputs("s") == {"value": 2}, "while the first still cleans up"
        clean_up.set()
        await turns()
        assert [answer.code for answer in b.sink.answers] == ["cancelled", None]


async def test_a_thread_that_is_being_cancelled_is_never_joined() -> None:
    slow = Gatekeeper("thread")
    async with bench(slow.type, max_threads=2) as b:
        b.open(graph({"s": "slow"}))
        first = b.start("s")
        await slow.began.wait()
        slow.began.clear()
        b.evaluator.cancel(first)
        second = b.start("s")
        await slow.began.wait()
        slow.let_go()

        assert (await b.sink.answer(second)).outputs == {"value": 2}


async def test_an_async_node_that_refuses_to_be_cancelled_answers_nobody() -> None:
    door = Door()
    stubborn_ended = asyncio.Event()

    async def stubborn(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        try:
            await door.wait()
        except asyncio.CancelledError:
            stubborn_ended.set()
        return {"value": "too late"}

    async with bench(make_type("slow", stubborn), Calls().source()) as b:
        b.open(graph({"s": "slow", "fine": ("source", {"x": 1})}))
        demand = b.start("s")
        await door.reached.wait()
        b.evaluator.cancel(demand)
        await stubborn_ended.wait()
        await turns()

        assert [answer.code for answer in b.sink.answers] == ["cancelled"]
        assert len(b.evaluator.memo) == 0
        assert await b.outputs("fine") == {"value": 1}


async def test_a_cancel_leaves_other_nodes_that_wait_alone() -> None:
    doors = {"a": Door(), "b": Door()}

    async def slow(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await doors[ctx.node_id].wait()
        return {"value": ctx.node_id}

    async with bench(make_type("slow", slow, inputs=["x"])) as b:
        b.open(graph({"a": ("slow", {"x": 1}), "b": ("slow", {"x": 2})}))
        first, second = b.start("a"), b.start("b")
        for door in doors.values():
            await door.reached.wait()

        b.evaluator.cancel(first)
        doors["b"].opened.set()

        assert (await b.sink.answer(second)).outputs == {"value": "b"}


async def test_nodes_that_wait_wait_side_by_side() -> None:
    everyone = asyncio.Event()
    waiting: list[str] = []

    async def meet(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        waiting.append(ctx.node_id)
        if len(waiting) == 50:
            everyone.set()
        await everyone.wait()
        return {"value": 1}

    async with bench(make_type("meet", meet, inputs=["x"]), Calls().total()) as b:
        nodes: dict[str, Any] = {f"m{number}": ("meet", {"x": number}) for number in range(50)}
        b.open(graph(nodes | {"t": "total"}, *(f"{name}.value -> t.items" for name in nodes)))

        assert await b.outputs("t") == {"value": 51}


async def test_threads_work_side_by_side_up_to_their_number() -> None:
    meeting = threading.Barrier(3)

    def meet(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        meeting.wait(20)
        return {"value": 1}

    async with bench(make_type("meet", meet, inputs=["x"], execution="thread"), Calls().total(), max_threads=3) as b:
        nodes: dict[str, Any] = {f"m{number}": ("meet", {"x": number}) for number in range(9)}
        b.open(graph(nodes | {"t": "total"}, *(f"{name}.value -> t.items" for name in nodes)))

        assert await b.outputs("t") == {"value": 10}


async def test_closing_a_session_cancels_its_demands_only() -> None:
    slow = Gatekeeper("async")
    other = Gatekeeper("async")
    another = make_type("other", other._on_loop)
    async with bench(slow.type, another) as b:
        b.open(graph({"s": "slow"}), session=1)
        b.open(graph({"o": "other"}), session=2)
        mine, theirs = b.start("s", session=1), b.start("o", session=2)
        await slow.began.wait()

        b.evaluator.close_session(1)
        await slow.ended.wait()
        other.let_go()

        assert (await b.sink.answer(mine)).code == "cancelled"
        assert (await b.sink.answer(theirs)).outputs == {"value": 1}
        assert await b.fails("s", session=1) == "unknown_session"


@both
async def test_closing_the_evaluator_tells_everyone(execution: str) -> None:
    slow = Gatekeeper(execution)
    async with bench(slow.type) as b:
        b.open(graph({"s": "slow"}))
        demands = [b.start("s"), b.start("s")]
        await slow.began.wait()

        await b.evaluator.close()

        assert [answer.code for answer in b.sink.answers] == ["shutting_down"] * 2
        assert await b.fails("s") == "shutting_down"
        assert len(demands) == 2
        slow.let_go()
        await slow.ended.wait()
