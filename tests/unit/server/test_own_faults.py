"""Where the engine itself fails, it ends and says so: nobody waits for what was read and lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.wire import Wire

from graphport.server.connection import Connection
from graphport.server.outbox import Outbox
from graphport.wire.codec import pack
from graphport.wire.framing import lone

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
