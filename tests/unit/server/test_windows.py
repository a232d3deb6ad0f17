"""A demand's own window: so many chunks before a grant, text joined meanwhile, the last message behind them."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.wire import Wire

from graphport.core.errors import DemandStopped, NodeError
from graphport.server.outbox import Outbox
from graphport.server.pending import JOINED_CHARACTERS
from graphport.server.window import ALL_KEPT_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.anyio


class Demand:
    """An outbox, and a demand with a window."""

    def __init__(self, window: int) -> None:
        self.wire = Wire()
        self.box = Outbox(asyncio.get_running_loop(), self.wire)
        self.box.open_window(1, window)

    def text(self, *chunks: str, node: str = "n") -> None:
        for chunk in chunks:
            self.box.chunk(1, node, "p", chunk)

    def progress(self, node: str, fraction: int) -> None:
        self.box.event(1, node, {"event": "progress", "fraction": fraction, "text": ""})

    def grant(self, chunks: int) -> None:
        self.box.grant(1, chunks)

    def sent(self) -> list[object]:
        """What was sent since the last time: chunks, and names of other messages."""
        read = -1
        while self.wire.payload_bytes > read:
            read = self.wire.payload_bytes
            self.box.credited(read)
            self.box.flush()
        rows, self.wire.messages = self.wire.messages, []
        return [_seen(row) for row in rows]


def _seen(row: list[Any]) -> object:
    if row[0] == "node_event" and row[3]["event"] == "progress":
        return row[2], row[3]["fraction"]
    return row[4] if row[0] == "node_stream" else row[0]


async def test_chunks_beyond_the_window_are_joined_and_wait_for_a_grant() -> None:
    demand = Demand(2)
    demand.text("a", "b", "c", "d")
    assert demand.sent() == ["a", "b"]

    demand.grant(1)
    assert demand.sent() == ["cd"]

    demand.grant(3)
    demand.text("e", "f")
    assert demand.sent() == ["e", "f"]
    demand.text("g", "h", "i")
    assert demand.sent() == ["g"]


async def test_only_text_of_one_stream_is_joined() -> None:
    demand = Demand(1)
    demand.text("a", "b")
    demand.text("x", node="m")
    demand.box.chunk(1, "n", "p", 5)
    demand.box.chunk(1, "n", "p", 6)
    demand.text("y", "z")
    demand.grant(10)

    assert demand.sent() == ["a", "b", "x", 5, 6, "yz"]


async def test_the_answer_waits_behind_what_the_window_holds() -> None:
    demand = Demand(1)
    demand.text("a", "b")
    demand.box.chunk(1, "n", "p", 7)
    demand.box.complete(1, "n", {"v": 1}, {})
    assert demand.sent() == ["a"]
    assert demand.box.holds(1)

    demand.grant(1)
    assert demand.sent() == ["b"]
    demand.grant(1)
    assert demand.sent() == [7, "demand_complete"]
    assert not demand.box.holds(1)


async def test_a_nodes_failure_waits_too_but_a_cancel_and_a_deadline_do_not() -> None:
    failing = Demand(1)
    failing.text("a", "b")
    failing.box.fail(1, "n", NodeError("it failed"))
    assert failing.sent() == ["a"]
    failing.grant(5)
    assert failing.sent() == ["b", "demand_error"]

    for code in ("cancelled", "deadline_exceeded"):
        stopped = Demand(1)
        stopped.text("a", "b")
        stopped.box.fail(1, "n", DemandStopped("stopped", code=code))
        assert stopped.sent() == ["a", "demand_error"]
        assert not stopped.box.holds(1)
        stopped.grant(5)
        assert stopped.sent() == []


async def test_a_cancel_drops_an_answer_that_waits() -> None:
    demand = Demand(1)
    demand.text("a", "b")
    demand.box.complete(1, "n", {"v": 1}, {})
    demand.box.cancel(1)

    assert demand.sent() == ["a", "demand_error"]
    assert not demand.box.holds(1)


async def test_events_are_not_held() -> None:
    demand = Demand(1)
    demand.text("a", "b")
    demand.box.event(1, "n", {"event": "started"})

    assert demand.sent() == ["a", "node_event"]


async def test_of_a_nodes_progress_the_latest_waits_in_its_place_and_text_is_joined_across_it() -> None:
    demand = Demand(1)
    demand.text("a", "b")
    for step in range(1_000):
        demand.progress("n", step)
        demand.progress("m", -step)
        demand.text(".")
    assert demand.sent() == ["a"]

    demand.grant(2)
    assert demand.sent() == ["b" + "." * 1_000, ("n", 999)]
    demand.progress("m", 1)
    demand.progress("n", 1_000)
    demand.grant(5)
    assert demand.sent() == [("m", 1), ("n", 1_000)]


async def test_progress_that_waits_goes_before_the_nodes_next_event_and_counts() -> None:
    demand = Demand(1)
    demand.text("a")
    demand.progress("n", 1)
    demand.progress("m", 2)
    demand.box.event(1, "n", {"event": "completed", "us": 1})
    assert demand.sent() == ["a", ("n", 1), "node_event"]

    demand.grant(1)
    assert demand.sent() == []
    demand.grant(1)
    assert demand.sent() == [("m", 2)]


async def test_short_chunks_are_kept_in_little_memory_and_empty_ones_in_none() -> None:
    demand = Demand(1)
    tracemalloc.start()
    try:
        for _ in range(100_000):
            demand.text("", "ab")
        for _ in range(100_000):
            demand.text("")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000

    demand.grant(100)
    assert "".join(map(str, demand.sent())) == "ab" * 100_000


async def test_all_windows_together_are_bounded_while_each_keeps_something() -> None:
    demand = Demand(1)
    for number in range(2, 1_000):
        demand.box.open_window(number, 1)
        while not demand.box.behind(number):
            demand.box.chunk(number, "n", "p", bytes(50_000))
        demand.sent()
    kept = demand.box.kept_bytes
    assert ALL_KEPT_BYTES < kept < ALL_KEPT_BYTES + 1_000 * 60_000

    # One that took everything goes on, whatever the others keep.
    demand.box.grant(999, 10)
    assert not demand.box.behind(999)
    # A cancel gives back what it kept.
    demand.box.cancel(2)
    assert demand.box.kept_bytes < kept


async def test_a_demand_that_is_shut_keeps_its_chunks_until_it_is_opened_again() -> None:
    demand = Demand(1)
    demand.box.chunk(2, "n", "p", "a")
    demand.box.shut(2)
    demand.box.chunk(2, "n", "p", "b")
    demand.box.chunk(2, "n", "p", "c")
    demand.box.event(2, "n", {"event": "started"})
    assert demand.sent() == ["a", "node_event"]
    while not demand.box.behind(2):
        demand.box.chunk(2, "n", "p", 5)
    waiting = asyncio.create_task(demand.box.caught_up(2))
    await asyncio.sleep(0)

    demand.box.reopen(2)
    await waiting
    demand.box.chunk(2, "n", "p", "d")
    sent = demand.sent()
    assert sent[:2] == ["bc", 5]
    assert sent[-1] == "d"

    demand.box.shut(2)
    demand.box.chunk(2, "n", "p", "e")
    demand.box.complete(2, "n", {}, {})
    assert demand.sent() == []
    demand.box.reopen(2)
    assert demand.sent() == ["e", "demand_complete"]
    assert not demand.box.holds(2)


async def test_a_window_of_the_demands_own_is_not_opened_by_another() -> None:
    demand = Demand(1)
    demand.text("a", "b")
    demand.box.shut(1)
    demand.box.reopen(1)
    demand.box.reopen(7)
    assert demand.sent() == ["a"]


async def test_an_answer_that_waits_past_its_deadline_is_the_deadlines_error() -> None:
    demand = Demand(1)
    demand.text("a", "b")
    demand.box.complete(1, "n", {"v": 1}, {})
    now = asyncio.get_running_loop().time()
    demand.box.ends_by(1, "n", now, DemandStopped("too late", code="deadline_exceeded"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not demand.box.holds(1)

    demand.grant(5)
    assert demand.sent() == ["a", "demand_error"]


async def test_an_answer_that_was_sent_has_no_deadline_any_more() -> None:
    demand = Demand(1)
    demand.text("a", "b")
    demand.box.complete(1, "n", {"v": 1}, {})
    now = asyncio.get_running_loop().time()
    demand.box.ends_by(1, "n", now, DemandStopped("too late", code="deadline_exceeded"))
    demand.grant(1)
    for _ in range(5):
        await asyncio.sleep(0)

    assert demand.sent() == ["a", "b", "demand_complete"]


async def test_an_answer_that_is_reopened_has_no_deadline_any_more() -> None:
    demand = Demand(1)
    demand.box.shut(2)
    demand.box.chunk(2, "n", "p", "a")
    demand.box.complete(2, "n", {}, {})
    far = asyncio.get_running_loop().time() + 1_000
    demand.box.ends_by(2, "n", far, DemandStopped("too late", code="deadline_exceeded"))
    demand.box.reopen(2)
    assert demand.sent() == ["a", "demand_complete"]
    assert not demand.box._overdue


async def test_a_cached_stream_is_sent_as_it_is_granted_and_shared() -> None:
    demand = Demand(1)
    text = "x" * 3_000_000
    tracemalloc.start()
    try:
        for number in range(2, 202):
            demand.box.open_window(number, 1)
            demand.box.replay(number, "n", [("p", text), ("p", 7)])
            demand.box.complete(number, "n", {}, {})
        demand.sent()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 6_000_000

    demand.box.grant(5, 1_000)
    sent = demand.sent()
    assert sent[-2:] == [7, "demand_complete"]
    # The first piece was sent before.
    assert sum(len(str(piece)) for piece in sent[:-2]) == len(text) - 16_384
    assert all(len(str(piece)) <= 16_384 for piece in sent)


async def test_a_demand_that_keeps_much_is_behind_until_granted_and_others_are_not() -> None:
    demand = Demand(1)
    while not demand.box.behind(1):
        demand.text("x" * 10_000)
    assert not demand.box.behind(2)
    waiting = asyncio.create_task(demand.box.caught_up(1))
    await asyncio.sleep(0)
    assert not waiting.done()

    demand.grant(20)
    await waiting
    assert not demand.box.behind(1)
    assert all(len(str(chunk)) < 2 * JOINED_CHARACTERS for chunk in demand.sent())


async def test_a_cancelled_demand_keeps_nobody_waiting() -> None:
    demand = Demand(1)
    while not demand.box.behind(1):
        demand.text("x" * 10_000)
    waiting = asyncio.create_task(demand.box.caught_up(1))
    await asyncio.sleep(0)

    demand.box.fail(1, "n", DemandStopped("cancelled", code="cancelled"))
    await waiting


@given(
    st.integers(1, 3),
    st.lists(st.one_of(st.integers(1, 4), st.text("ab", min_size=1, max_size=3), st.binary(max_size=2)), max_size=30),
)
def test_everything_arrives_in_order_and_never_more_than_was_granted(
    window: int, steps: list[int | str | bytes]
) -> None:
    async def run() -> None:
        demand = Demand(window)
        granted, sent, given = window, [], []
        for step in steps:
            if isinstance(step, int):
                granted += step
                demand.grant(step)
            else:
                given.append(step)
                demand.box.chunk(1, "n", "p", step)
            sent += demand.sent()
            assert len(sent) <= granted
        demand.box.complete(1, "n", {}, {})
        demand.grant(100)
        sent += demand.sent()
        assert sent.pop() == "demand_complete"
        assert _joined(sent) == _joined(given)

    asyncio.run(run())


def _joined(chunks: Sequence[object]) -> list[object]:
    joined: list[object] = []
    for chunk in chunks:
        if isinstance(chunk, str) and joined and isinstance(joined[-1], str):
            joined[-1] += chunk
        else:
            joined.append(chunk)
    return joined


async def test_of_what_a_watch_tells_the_latest_waits_behind_its_chunks() -> None:
    demand = Demand(1)
    demand.text("a", "b")
    demand.box.output(1, "n", {"v": 1}, {}, alone=False)
    demand.text("c", "d")
    demand.box.failed(1, "n", NodeError("it failed"), alone=False)
    demand.text("e")
    demand.box.output(1, "n", {"v": 2}, {}, alone=False)
    assert demand.sent() == ["a"]

    demand.grant(2)
    assert demand.sent() == ["b", "cd"]
    demand.grant(5)
    assert demand.sent() == ["e", "node_output"]
    demand.box.output(1, "n", {"v": 3}, {}, alone=False)
    assert demand.sent() == ["node_output"]


async def test_a_cancel_drops_what_a_watch_has_told_and_nobody_has_read() -> None:
    demand = Demand(1)
    demand.text("a")
    demand.box.output(1, "n", {"v": 1}, {}, alone=False)
    demand.box.fail(1, "n", DemandStopped("stopped", code="cancelled"))

    assert demand.sent() == ["a", "demand_error"]
    assert not demand.box.holds(1)
