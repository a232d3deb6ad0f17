"""The way out: joined per wake-up, held to the window, order kept, nothing lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.wire import Wire

from graphport.core.errors import LookupFailed, NodeError, WireError
from graphport.server.outbox import CONGESTED_BYTES, Outbox
from graphport.wire import messages
from graphport.wire.limits import MAX_VALUE_BYTES, READ_WINDOW_BYTES

pytestmark = pytest.mark.anyio


class Shut:
    """An outbox whose window was filled."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.box = Outbox(asyncio.get_running_loop(), self.wire)
        filler = messages.reply(0, "x" * 1_000_000)
        while self.wire.payload_bytes < READ_WINDOW_BYTES:
            self.box.send(filler)
            self.box.flush()
        self.wire.messages.clear()

    def credit(self, size: int | None = None) -> None:
        self.box.credited(self.wire.payload_bytes if size is None else size)
        self.box.flush()


class InterruptsOnce(bytes):
    """A message at whose measuring a signal handler raises, the first time."""

    def __len__(self) -> int:
        if not hasattr(self, "measured"):
            self.measured = True
            raise SystemExit(9)
        return super().__len__()


def text_of(rows: list[Any], demand: int) -> str:
    return "".join(row[4] for row in rows if row[0] == "node_stream" and row[1] == demand)


async def test_what_is_sent_in_one_turn_is_written_at_once() -> None:
    wire = Wire()
    box = Outbox(asyncio.get_running_loop(), wire)
    for number in range(100):
        box.send(messages.pong(number))
    assert not wire.messages
    await asyncio.sleep(0)

    assert wire.writes == 1
    assert wire.messages == [["pong", number] for number in range(100)]


async def test_what_is_said_after_an_interrupted_message_comes_in_whole_frames() -> None:
    wire = Wire()
    box = Outbox(asyncio.get_running_loop(), wire)
    box.send(messages.pong(1))
    with pytest.raises(SystemExit):
        box.send(InterruptsOnce(messages.pong(2)))

    box.send(messages.pong(3))
    box.flush()

    assert wire.messages == [["pong", 1], ["pong", 2], ["pong", 3]]


async def test_nothing_is_written_while_the_window_is_shut() -> None:
    shut = Shut()
    shut.box.send(messages.pong(1))
    shut.box.flush()
    assert not shut.wire.messages

    shut.credit()

    assert shut.wire.messages == [["pong", 1]]


async def test_the_last_message_is_sent_whether_the_window_is_shut_or_not() -> None:
    shut = Shut()
    shut.box.send(messages.pong(1))

    shut.box.send_last(messages.pong(2))

    assert shut.wire.messages == [["pong", 2]]


async def test_text_is_joined_while_the_window_is_shut_and_nothing_is_lost() -> None:
    shut = Shut()
    for number in range(10_000):
        shut.box.chunk(1, "n", "p", f"{number},")

    shut.credit()

    assert text_of(shut.wire.messages, 1) == "".join(f"{number}," for number in range(10_000))
    assert len(shut.wire.messages) < 5


async def test_an_answer_behind_joined_text_is_sent_behind_it() -> None:
    shut = Shut()
    shut.box.chunk(1, "n", "p", "a")
    shut.box.chunk(1, "n", "p", "b")
    shut.box.complete(1, "n", {"p": "ab"}, {})
    shut.box.chunk(2, "n", "p", "c")
    shut.box.fail(2, "n", LookupFailed("gone"))

    shut.credit()

    assert [row[:2] for row in shut.wire.messages] == [
        ["node_stream", 1],
        ["demand_complete", 1],
        ["node_stream", 2],
        ["demand_error", 2],
    ]
    assert text_of(shut.wire.messages, 1) == "ab"


async def test_chunks_that_are_no_text_ports_and_demands_keep_their_order() -> None:
    shut = Shut()
    rows: list[tuple[int, str, Any]] = [
        (1, "p", "a"),
        (1, "p", 5),
        (1, "p", "b"),
        (2, "p", "x"),
        (1, "q", "c"),
        (1, "p", "d"),
        (2, "p", "y"),
    ]
    for demand, port, chunk in rows:
        shut.box.chunk(demand, "n", port, chunk)
    shut.credit()

    first = [(row[3], row[4]) for row in shut.wire.messages if row[1] == 1]
    assert first == [("p", "a"), ("p", 5), ("p", "b"), ("q", "c"), ("p", "d")]
    assert text_of(shut.wire.messages, 2) == "xy"


async def test_text_sent_between_two_closings_of_the_window_is_not_overtaken() -> None:
    shut = Shut()
    shut.box.send(messages.reply(1, "x" * 900_000))
    shut.box.chunk(1, "n", "p", "a")
    shut.box.credited(shut.wire.payload_bytes - READ_WINDOW_BYTES + 1)  # open, until the large reply has gone
    shut.box.chunk(1, "n", "p", "b")
    shut.box.flush()
    shut.box.chunk(1, "n", "p", "c")

    shut.credit()
    shut.credit()

    assert text_of(shut.wire.messages, 1) == "abc"


async def test_a_window_that_opens_a_little_lets_a_little_through() -> None:
    shut = Shut()
    for number in range(100):
        shut.box.send(messages.reply(number, "y" * 100_000))
    shut.credit(shut.wire.payload_bytes - READ_WINDOW_BYTES + 250_000)

    assert 2 <= len(shut.wire.messages) <= 4
    for _ in range(10):
        shut.credit()
    assert [row[1] for row in shut.wire.messages] == list(range(100))


async def test_streams_are_held_back_until_the_window_opens() -> None:
    shut = Shut()
    while not shut.box.congested:
        shut.box.chunk(1, "n", "p", "z" * 50_000)
    assert shut.box.behind(1)
    waiting = asyncio.create_task(shut.box.caught_up(1))
    await asyncio.sleep(0)
    assert not waiting.done()

    for _ in range(3):
        shut.credit()
    await waiting

    assert not shut.box.behind(1)
    assert len(text_of(shut.wire.messages, 1)) > CONGESTED_BYTES // 2


async def test_a_pipe_that_takes_nothing_shuts_the_window_too() -> None:
    wire = Wire()
    box = Outbox(asyncio.get_running_loop(), wire)
    wire.backlog = READ_WINDOW_BYTES + 1
    box.chunk(1, "n", "p", "a")
    box.chunk(1, "n", "p", "b")
    wire.backlog = 0
    wire.room()

    assert wire.messages == [["node_stream", 1, "n", "p", "ab"]]


async def test_a_text_larger_than_a_frame_is_cut() -> None:
    wire = Wire()
    box = Outbox(asyncio.get_running_loop(), wire)
    box.chunk(1, "n", "p", "😀" * 1_000_000)
    for _ in range(8):
        box.credited(wire.payload_bytes)
        box.flush()

    assert text_of(wire.messages, 1) == "😀" * 1_000_000


@pytest.mark.parametrize("is_shut", [False, True])
@pytest.mark.parametrize(
    ("chunk", "code"),
    [(object(), "unencodable_value"), ("\ud800", "unencodable_value"), (bytes(MAX_VALUE_BYTES), "too_large")],
    ids=["object", "surrogate", "large"],
)
async def test_a_chunk_that_cannot_travel_is_refused(is_shut: bool, chunk: Any, code: str) -> None:
    shut = Shut()
    if not is_shut:
        shut.credit()

    with pytest.raises(WireError) as caught:
        shut.box.chunk(1, "n", "p", chunk)

    assert caught.value.code == code
    shut.box.chunk(1, "n", "p", "fine")
    shut.credit()
    assert shut.wire.messages == [["node_stream", 1, "n", "p", "fine"]]


async def test_an_answer_of_more_than_a_value_may_have_is_an_error_that_names_the_port() -> None:
    wire = Wire()
    box = Outbox(asyncio.get_running_loop(), wire)
    box.complete(2, "n", {"small": "x", "p": bytes(MAX_VALUE_BYTES)}, {})
    box.flush()

    assert [row[0] for row in wire.messages] == ["demand_error"]
    assert wire.messages[0][3]["code"] == "too_large"
    assert "(output p)" in wire.messages[0][3]["message"]


async def test_an_error_that_is_too_large_or_cannot_travel_is_told_in_short() -> None:
    wire = Wire()
    box = Outbox(asyncio.get_running_loop(), wire)
    box.fail(1, "n", LookupFailed("x" * 3_000_000))
    box.fail(2, "n", LookupFailed("bad \ud800", details={"it": object()}))
    box.fail(3, "n" * 1_048_500, LookupFailed("no such node"))
    box.fail(4, ["n" * 200_000, "m" * 200_000], LookupFailed("no such node"))
    box.flush()

    assert [(row[0], row[1], row[3]["code"]) for row in wire.messages] == [
        ("demand_error", number, "unknown_node") for number in (1, 2, 3, 4)
    ]


async def test_a_text_that_cannot_travel_costs_an_error_nothing_else() -> None:
    wire = Wire()
    box = Outbox(asyncio.get_running_loop(), wire)
    fields: dict[str, Any] = {"node_id": "n", "exception_name": "ValueError", "retry_after_ms": 5, "details": {"a": 1}}
    box.fail(1, "n", NodeError("bad \ud800", traceback_text="ValueError: bad \ud800", **fields))
    box.fail(2, "n", NodeError("x" * 3_000_000, traceback_text="a line\n" * 200_000 + "the end", **fields))
    box.flush()

    bad, long = (row[3] for row in wire.messages)
    assert bad == {
        "code": "node_failed",
        "message": "bad \\ud800",
        "node_id": "n",
        "exception": "ValueError",
        "traceback": "ValueError: bad \\ud800",
        "retry_after_ms": 5,
        "details": {"a": 1},
    }
    assert long.keys() == bad.keys()
    assert long["traceback"].endswith("the end")


async def test_streams_go_on_when_a_full_pipe_empties_and_nothing_is_queued() -> None:
    wire = Wire()
    box = Outbox(asyncio.get_running_loop(), wire)
    wire.backlog = CONGESTED_BYTES + 1
    waiting = asyncio.create_task(box.caught_up(1))
    await asyncio.sleep(0)
    assert not waiting.done()

    wire.backlog = 0
    wire.room()
    await waiting
