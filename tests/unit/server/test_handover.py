"""Frames handed over by a thread that does not know how far the loop's thread is."""

from __future__ import annotations

import asyncio

import pytest

from graphport.server.handover import HandoverTransport
from graphport.wire.framing import lone

pytestmark = pytest.mark.anyio


async def test_frames_that_come_before_the_start_are_read_first() -> None:
    read: list[bytes] = []
    transport = HandoverTransport(asyncio.get_running_loop(), lambda _payload: None)
    transport.hand_over(b"hello")
    transport.hand_over(b"open")
    await asyncio.sleep(0)

    transport.start(read.append, lambda: None)
    transport.hand_over(b"ping")
    await asyncio.sleep(0)

    assert read == [lone(b"hello"), lone(b"open"), lone(b"ping")]


async def test_frames_that_are_on_their_way_at_the_start_keep_their_order() -> None:
    read: list[bytes] = []
    transport = HandoverTransport(asyncio.get_running_loop(), lambda _payload: None)
    transport.hand_over(b"one")
    transport.hand_over(b"two")

    transport.start(read.append, lambda: None)
    await asyncio.sleep(0)

    assert read == [lone(b"one"), lone(b"two")]
