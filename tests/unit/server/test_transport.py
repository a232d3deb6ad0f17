"""Bytes in and out of real pipes, without blocking the loop, until the pipe ends."""

from __future__ import annotations

import asyncio
import os
import select
import threading
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.evaluation import until

from graphport.server.awake import Awake
from graphport.server.descriptors import WireFds
from graphport.server.transport import PipeTransport, ThreadTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

each = pytest.mark.parametrize("kind", [PipeTransport, ThreadTransport])


class Ends:
    """The far ends of a transport's two pipes."""

    def __init__(self) -> None:
        read, self.write = os.pipe()
        self.read, write = os.pipe()
        self.wire = WireFds(read, write)
        os.set_blocking(self.read, False)
        self.received = bytearray()
        self.ended = 0
        self.open = {read, write, self.read, self.write}

    def start(self, kind: Any) -> Any:
        if kind is PipeTransport:
            for fd in self.wire:
                os.set_blocking(fd, False)
        transport = kind(asyncio.get_running_loop(), self.wire)
        transport.start(self.received.extend, self._end)
        return transport

    def _end(self) -> None:
        self.ended += 1

    def take(self) -> bytes:
        try:
            return os.read(self.read, 1 << 20)
        except BlockingIOError:
            return b""

    def close(self, fd: int) -> None:
        self.open.discard(fd)
        os.close(fd)


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    for fd in made.open:
        os.close(fd)


@pytest.fixture
def still() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs only when it is told to."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


async def started_with(data: bytes, kind: Any, ends: Ends) -> Any:
    transport = ends.start(kind)
    transport.write([data])
    return transport


@each
async def test_bytes_come_in_and_the_end_is_told_once(kind: Any, ends: Ends) -> None:
    ends.start(kind)
    os.write(ends.write, b"abc")
    await until(lambda: ends.received == b"abc")

    ends.close(ends.write)
    await until(lambda: ends.ended > 0)
    await asyncio.sleep(0)

    assert ends.ended == 1


@each
async def test_more_than_the_pipe_holds_waits_and_keeps_its_order(kind: Any, ends: Ends) -> None:
    transport = ends.start(kind)
    room: list[int] = []
    transport.on_room(lambda: room.append(1))
    data = [bytes([number]) * 100_000 for number in range(40)]
    for piece in data:
        transport.write([piece[:10], piece[10:]])
    assert transport.backlog > 1_000_000

    out = bytearray()

    def all_out() -> bool:
        out.extend(ends.take())
        return len(out) == 4_000_000 and not transport.backlog

    await until(all_out)

    assert bytes(out) == b"".join(data)
    assert room
    assert not ends.ended
    ends.close(ends.write)
    await until(lambda: ends.ended > 0)


@each
def test_what_waits_can_be_written_while_the_loop_stands_still(
    kind: Any, ends: Ends, still: asyncio.AbstractEventLoop
) -> None:
    data = bytes(1_000_000)
    transport = still.run_until_complete(started_with(data, kind, ends))
    out = bytearray()

    def take() -> None:
        while len(out) < len(data) and select.select([ends.read], [], [], 10)[0]:
            out.extend(ends.take())

    reader = threading.Thread(target=take, daemon=True)
    reader.start()
    transport.drain(10)
    reader.join(10)

    assert bytes(out) == data
    ends.close(ends.write)
    still.run_until_complete(until(lambda: ends.ended > 0))


@each
def test_a_far_end_that_reads_nothing_is_not_waited_for_longer_than_asked(
    kind: Any, ends: Ends, still: asyncio.AbstractEventLoop
) -> None:
    transport = still.run_until_complete(started_with(bytes(1_000_000), kind, ends))

    began = monotonic()
    transport.drain(0.05)

    assert monotonic() - began < 10
    ends.close(ends.write)
    ends.close(ends.read)
    still.run_until_complete(until(lambda: ends.ended > 0))


async def test_each_read_is_told_to_what_keeps_the_loop_awake(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bytes] = []
    monkeypatch.setattr(Awake, "was_read", lambda _self: told.append(bytes(ends.received)))
    ends.start(PipeTransport)
    for text in (b"one", b"two"):
        os.write(ends.write, text)
        await until(partial(ends.received.endswith, text))

    assert told == [b"one", b"onetwo"]
    ends.close(ends.write)
    await until(lambda: ends.ended > 0)


@each
async def test_a_far_end_that_reads_no_more_is_the_end(kind: Any, ends: Ends) -> None:
    transport = ends.start(kind)
    ends.close(ends.read)

    transport.write([b"anybody?"])
    await until(lambda: ends.ended > 0)
    transport.write([b"no"])
    ends.close(ends.write)
    for _ in range(5):
        await asyncio.sleep(0)

    assert ends.ended == 1
