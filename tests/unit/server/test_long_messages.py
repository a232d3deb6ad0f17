"""Long messages on the way out: in parts, everything else between them, the order of each demand kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.wire import Wire

from graphport.core.errors import DemandStopped, NodeError
from graphport.server.outbox import Outbox
from graphport.wire import messages
from graphport.wire.codec import unpack
from graphport.wire.limits import BULK_WINDOW_BYTES, MAX_FRAME_BYTES, PART_BYTES

pytestmark = pytest.mark.anyio

LONG = bytes(range(256)) * 6_000


def outbox() -> tuple[Outbox, Wire]:
    wire = Wire()
    return Outbox(asyncio.get_running_loop(), wire), wire


def whole(rows: list[Any]) -> list[Any]:
    """The messages with those in parts put together, each where its last part stands."""
    begun: dict[int, list[bytes]] = {}
    found = []
    for row in rows:
        if row[0] != "part":
            found.append(row)
            continue
        _, transfer, seq, last, data = row
        assert len(data) <= PART_BYTES
        assert seq == len(begun.setdefault(transfer, []))
        begun[transfer].append(data)
        if last:
            found.append(unpack(b"".join(begun.pop(transfer))))
    assert not begun
    return found


async def test_a_long_answer_goes_in_parts() -> None:
    box, wire = outbox()
    box.complete(7, "n", {"d": LONG}, {"ran": 1})
    box.flush()

    assert {row[:2][0] for row in wire.messages} == {"part"}
    assert {row[1] for row in wire.messages} == {7}
    assert whole(wire.messages) == [["demand_complete", 7, "n", {"d": LONG}, {"ran": 1}]]


@pytest.mark.parametrize("over", [0, 1])
async def test_only_what_is_longer_than_a_part_goes_in_parts(over: int) -> None:
    box, wire = outbox()
    room = PART_BYTES - len(messages.reply(1, b"x" * 70_000)) + 70_000
    box.send_about(1, messages.reply(1, b"x" * (room + over)))
    box.flush()

    assert wire.messages[0][0] == ("part" if over else "reply")
    assert len(whole(wire.messages)) == 1


async def test_other_messages_pass_between_parts_when_the_window_is_tight() -> None:
    box, wire = outbox()
    box.complete(1, "n", {"d": LONG * 4}, {})
    box.flush()
    assert wire.payload_bytes < BULK_WINDOW_BYTES + MAX_FRAME_BYTES
    assert wire.messages[-1][0] == "part"

    box.send(messages.pong(5))
    box.chunk(2, "n", "p", "token")
    box.flush()
    assert [row[0] for row in wire.messages[-2:]] == ["pong", "node_stream"]

    for _ in range(10):
        box.credited(wire.payload_bytes)
        box.flush()
    assert whole(wire.messages)[-1][3] == {"d": LONG * 4}


async def test_no_more_parts_than_the_operating_system_takes() -> None:
    box, wire = outbox()
    wire.backlog = 1
    box.complete(1, "n", {"d": LONG}, {})
    box.flush()
    assert wire.messages == []

    wire.backlog = 0
    wire.room()
    assert whole(wire.messages)[0][1] == 1


async def test_what_a_demand_sends_after_a_long_chunk_comes_after_it() -> None:
    box, wire = outbox()
    box.chunk(1, "n", "p", LONG)
    box.chunk(1, "n", "p", "after")
    box.chunk(1, "n", "p", b"bytes")
    box.event(1, "n", {"event": "completed", "us": 1})
    box.chunk(2, "n", "p", "another demand's")
    box.complete(1, "n", {"v": 1}, {})
    box.flush()

    of_first = [row[-1] if row[0] == "node_stream" else row[0] for row in whole(wire.messages) if row[1] == 1]
    assert of_first == [LONG, "after", b"bytes", "node_event", "demand_complete"]
    assert wire.messages[0] == ["node_stream", 2, "n", "p", "another demand's"]


async def test_an_error_of_a_node_comes_after_its_long_chunk_and_a_cancel_in_its_place() -> None:
    box, wire = outbox()
    for demand, error in ((1, NodeError("it failed")), (2, DemandStopped("cancelled", code="cancelled"))):
        box.chunk(demand, "n", "p", LONG)
        box.fail(demand, "n", error)
    box.flush()

    rows = whole(wire.messages)
    assert [(row[0], row[1]) for row in rows] == [("demand_error", 2), ("node_stream", 1), ("demand_error", 1)]


async def test_a_cancel_drops_a_long_answer_that_waits_in_its_midst() -> None:
    box, wire = outbox()
    box.complete(1, "n", {"d": LONG * 4}, {})
    box.complete(2, "n", {"d": LONG}, {})
    box.flush()
    begun = len(wire.messages)
    assert box.holds(1)
    assert box.holds(2)

    box.cancel(1)
    for _ in range(3):
        box.credited(wire.payload_bytes)
        box.flush()

    assert not box.holds(1)
    rest = wire.messages[begun:]
    assert rest[0][:3] == ["demand_error", 1, ""]
    assert rest[0][3]["code"] == "cancelled"
    assert [row[:3] for row in whole(rest[1:])] == [["demand_complete", 2, "n"]]


async def test_a_demand_with_much_waiting_is_behind_until_it_has_gone_and_others_are_not() -> None:
    box, wire = outbox()
    wire.backlog = 1
    box.chunk(1, "n", "p", LONG)
    assert box.behind(1)
    assert not box.behind(2)
    waiting = asyncio.create_task(box.caught_up(1))
    await asyncio.sleep(0)
    assert not waiting.done()

    wire.backlog = 0
    wire.room()
    await waiting

    assert not box.behind(1)
