"""A demand's own window: so many chunks before a grant, text joined meanwhile, the last message behind them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.wire import Wire

from graphport.core.errors import DemandStopped, NodeError
from graphport.server.outbox import Outbox
from graphport.server.window import JOINED_CHARACTERS

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

    def grant(self, chunks: int) -> None:
        self.box.grant(1, chunks)

    def sent(self) -> list[object]:
        """What was sent since the last time: chunks, and names of other messages."""
        self.box.flush()
        rows, self.wire.messages = self.wire.messages, []
        return [row[4] if row[0] == "node_stream" else row[0] for row in rows]


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
    demand.box.event(1, "n", {"event": "progress", "fraction": 0.5, "text": ""})

    assert demand.sent() == ["a", "node_event"]


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
