"""Cancelled executions that do not end are stuck: they hold up nothing, and eight of them make the engine degraded."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.evaluation import Bench, Calls, bench, graph, make_type, turns, until

from graphport.core.errors import GraphportError
from graphport.demand import stuck

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stuck, "GRACE_S", 0.0)
    monkeypatch.setattr(stuck, "_LAST_WORDS_S", 0.0)


class Stubborn:
    """Nodes `stubborn`, on threads or in the loop, that go on when they are cancelled, until `release`."""

    def __init__(self, execution: str) -> None:
        self.began: asyncio.Queue[str] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._released = threading.Event()
        self._door = asyncio.Event()
        self.execution = execution
        handler = self._on_thread if execution == "thread" else self._on_loop
        self.type = make_type("stubborn", handler, inputs=["x"], execution=execution, effect="volatile")

    def release(self) -> None:
        self._released.set()
        self._door.set()

    def _on_thread(self, _inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        self._loop.call_soon_threadsafe(self.began.put_nowait, ctx.node_id)
        self._released.wait(20)
        return {"value": 1}

    async def _on_loop(self, _inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        self.began.put_nowait(ctx.node_id)
        while not self._door.is_set():
            try:
                await self._door.wait()
            except asyncio.CancelledError:
                continue
        return {"value": 1}

    async def make_stuck(self, b: Bench, count: int) -> None:
        """Have so many more of them stuck, one after the other."""
        for _ in range(count):
            before = len(b.evaluator.stuck.flights)
            demand = b.start("stubborn")
            await self.began.get()
            b.evaluator.cancel(demand)
            assert (await b.sink.answer(demand)).code == "cancelled"
            await until(lambda before=before: len(b.evaluator.stuck.flights) > before)  # type: ignore[misc]


STUBBORN: dict[str, Any] = {"stubborn": "stubborn", "fine": ("fine", {})}

both = pytest.mark.parametrize("execution", ["async", "thread"])


def fine(execution: str) -> Any:
    def run(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        return {"value": "fine"}

    async def run_async(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"value": "fine"}

    handler: Callable[..., Any] = run_async if execution == "async" else run
    return make_type("fine", handler, execution=execution, effect="volatile")


@both
async def test_what_does_not_end_is_stuck_until_it_does(execution: str) -> None:
    stubborn = Stubborn(execution)
    async with bench(stubborn.type, fine("async")) as b:
        b.open(graph(STUBBORN))
        await stubborn.make_stuck(b, 1)

        (row,) = b.evaluator.stuck.describe()
        assert (row["node"], row["type"], row["execution"]) == ("stubborn", "stubborn", execution)
        assert (await b.demand("fine")).meta["stuck"] == 1
        stubborn.release()
        await until(lambda: not b.evaluator.stuck.flights)
        assert b.evaluator.stuck.describe() == []
        assert b.evaluator.stuck.threads == 0
        assert "stuck" not in (await b.demand("fine")).meta


@both
async def test_seven_are_no_reason_to_replace_the_engine_and_eight_are_told_once(execution: str) -> None:
    stubborn = Stubborn(execution)
    async with bench(stubborn.type, fine("thread"), max_threads=1) as b:
        b.open(graph(STUBBORN))
        await stubborn.make_stuck(b, 7)
        assert b.sink.degradations == []
        assert not b.evaluator.stuck.degraded
        await stubborn.make_stuck(b, 1)

        ((count, reason),) = b.sink.degradations
        assert count == 8
        assert "node 'stubborn'" in reason
        assert (await b.demand("fine")).outputs == {"value": "fine"}, "it goes on"
        if execution == "async":
            await stubborn.make_stuck(b, 1)
        assert len(b.sink.degradations) == 1
        stubborn.release()
        await until(lambda: not b.evaluator.stuck.flights)


async def test_each_of_eight_stuck_threads_has_a_spare_slot_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    stubborn = Stubborn("thread")
    async with bench(stubborn.type, fine("thread"), max_threads=1) as b:
        b.open(graph(STUBBORN))
        await stubborn.make_stuck(b, 8)
        assert b.evaluator.threads.describe() == {"slots": 1, "waiting": 0}
        assert "from now on" not in caplog.text
        await stubborn.make_stuck(b, 1)

        assert b.evaluator.threads.describe()["slots"] == 0
        assert "from now on 0 nodes on threads" in caplog.text
        waiting = b.start("fine")
        await turns(20)
        assert b.sink.get(waiting) is None
        stubborn.release()
        assert (await b.sink.answer(waiting)).outputs == {"value": "fine"}


async def test_a_spare_slot_goes_when_the_stuck_thread_has_come_back() -> None:
    stubborn, later = Stubborn("thread"), Stubborn("thread")
    second = make_type("later", later._on_thread, inputs=["x"], execution="thread", effect="volatile")
    async with bench(stubborn.type, second, fine("thread"), max_threads=1) as b:
        b.open(graph({**STUBBORN, "l": "later"}))
        await stubborn.make_stuck(b, 3)
        assert b.evaluator.threads.slots == 4
        assert await b.outputs("fine") == {"value": "fine"}
        stubborn.release()
        await until(lambda: not b.evaluator.stuck.flights)

        assert b.evaluator.threads.slots == 1
        holder = b.start("l")
        await later.began.get()
        waiting = b.start("fine")
        await turns(20)
        assert b.sink.get(waiting) is None, "there is one slot again"
        later.release()
        await b.sink.answer(holder)
        assert (await b.sink.answer(waiting)).outputs == {"value": "fine"}


async def test_what_never_got_a_thread_is_not_stuck_and_never_run() -> None:
    stubborn = Stubborn("thread")
    calls = Calls()
    other = calls.inline("other", lambda _inputs: {"value": 1}, execution="thread", inputs=["x"])
    async with bench(stubborn.type, other, max_threads=1) as b:
        b.open(graph({"stubborn": "stubborn", "o": ("other", {"x": [1] * 1_000})}))
        holder = b.start("stubborn")
        await stubborn.began.get()

        assert await b.fails("o", deadline_ms=10) == "deadline_exceeded"
        cancelled = b.start("o")
        (flight,) = [flight for flight in b.evaluator.flights.values() if flight.node.id == "o"]
        assert flight.inputs == {"x": [1] * 1_000}
        b.evaluator.cancel(cancelled)
        assert flight.inputs is None, "what it was given does not wait with it"
        await turns(20)

        assert len(b.evaluator.stuck.flights) == 0
        stubborn.release()
        await b.sink.answer(holder)
        assert not calls
        assert await b.outputs("o") == {"value": 1}
        assert calls == ["o"]


async def test_cleaning_up_in_time_is_not_stuck_and_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stuck, "GRACE_S", 60.0)
    cleaning, cleaned, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def tidy(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await may_end.wait()
            cleaned.set()
        return {"value": 1}

    async with bench(make_type("tidy", tidy), fine("async")) as b:
        b.open(graph({"t": "tidy", "fine": "fine"}))
        demand = b.start("t")
        await turns()
        b.evaluator.cancel(demand)
        await cleaning.wait()

        assert (await b.sink.answer(demand)).code == "cancelled"
        assert await b.outputs("fine") == {"value": "fine"}
        may_end.set()
        await cleaned.wait()
        await turns()
        assert len(b.evaluator.stuck.flights) == 0


async def test_cleaning_up_for_too_long_is_cut_short() -> None:
    cut_short = asyncio.Event()

    async def slow_to_tidy(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        try:
            await asyncio.Event().wait()
        finally:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cut_short.set()
                raise
        return {"value": 1}

    async with bench(make_type("slow", slow_to_tidy)) as b:
        b.open(graph({"s": "slow"}))
        demand = b.start("s")
        await turns()
        b.evaluator.cancel(demand)

        await cut_short.wait()
        await turns()
        assert len(b.evaluator.stuck.flights) == 0
        assert [answer.code for answer in b.sink.answers] == ["cancelled"]


async def test_a_thread_that_asks_is_told_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stuck, "GRACE_S", 60.0)
    told: list[str] = []
    began, ended = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def polite(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        loop.call_soon_threadsafe(began.set)
        try:
            while True:
                ctx.check_cancelled()
        except GraphportError as error:
            told.append(error.code)
            loop.call_soon_threadsafe(ended.set)
            raise

    async with bench(make_type("polite", polite, execution="thread")) as b:
        b.open(graph({"p": "polite"}))
        demand = b.start("p")
        await began.wait()
        b.evaluator.cancel(demand)
        await ended.wait()

        assert told == ["cancelled"]
        assert len(b.evaluator.stuck.flights) == 0
        assert [answer.code for answer in b.sink.answers] == ["cancelled"]


@both
async def test_a_node_over_its_own_limit_may_be_stuck_too(execution: str) -> None:
    stubborn = Stubborn(execution)
    handler = stubborn.type.handler
    async with bench(make_type("stubborn", handler, execution=execution, timeout_ms=200)) as b:
        b.open(graph({"s": "stubborn"}))

        assert await b.fails("s") == "deadline_exceeded"
        await until(lambda: len(b.evaluator.stuck.flights) == 1)
        stubborn.release()
        await until(lambda: not b.evaluator.stuck.flights)
