"""Where the engine itself fails, it ends and says so: nobody waits for what was read and lost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from tests.support.wire import Wire

from graphport.server.connection import Connection
from graphport.server.outbox import Outbox
from graphport.wire import messages
from graphport.wire.codec import pack
from graphport.wire.framing import lone
from graphport.wire.limits import READ_WINDOW_BYTES

pytestmark = pytest.mark.anyio


class Failing:
    """An evaluator that runs out of memory."""

    def advance(self) -> None:
        raise MemoryError


async def test_a_failure_at_what_was_read_ends_the_engine_which_says_so() -> None:
    wire = Wire()
    ended: list[int] = []
    evaluator: Any = Failing()
    connection = Connection(Outbox(asyncio.get_running_loop(), wire), lambda _options: evaluator, ended.append)

    connection.received(lone(pack(["hello", {"protocol": 1}])))
    connection.received(lone(pack(["ping", 1])))

    assert ended == [70]
    assert [message[0] for message in wire.messages] == ["ready", "error"]
    assert wire.messages[1][2]["code"] == "internal_error"
    assert "MemoryError" in wire.messages[1][2]["message"]


@pytest.mark.parametrize("flush_fails", [False, True])
async def test_an_engine_that_gives_up_says_so_past_all_that_waits(
    flush_fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = Wire()
    outbox = Outbox(asyncio.get_running_loop(), wire)
    ended: list[int] = []
    connection = Connection(outbox, lambda _options: None, ended.append)  # type: ignore[arg-type,return-value]
    while wire.payload_bytes < READ_WINDOW_BYTES:
        outbox.send(messages.reply(0, "x" * 1_000_000))
        outbox.flush()
    outbox.send(messages.pong(1))
    wire.messages.clear()
    if flush_fails:
        monkeypatch.setattr(outbox, "flush", Failing().advance)

    with pytest.raises(MemoryError) if flush_fails else contextlib.nullcontext():
        connection.give_up("it is over")

    assert [(message[0], message[1], message[2]["message"]) for message in wire.messages] == [
        ("error", None, "it is over")
    ]
