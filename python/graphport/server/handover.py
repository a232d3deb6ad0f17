"""Moves frames between the loop and a wire that other code owns, which hands over and takes whole frames.

`SendingThread` makes the calls that may block; `HandoverTransport` is a `Transport` on top of it. Neither knows whose
wire it is. Called by `graphport.erlport`.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from graphport.wire.framing import FrameSplitter, lone

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

Item = TypeVar("Item")


class SendingThread(Generic[Item]):
    """Sends items in order by a call that may block.

    Attributes:
        backlog: bytes put here that have not been sent.
        on_room: called on the loop's thread whenever the backlog has gone.
        on_end: called there once, when sending has failed for good.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Callable[[Item], object]) -> None:
        """Start the thread.

        Args:
            loop: where callbacks run and `put` is called.
            send: sends one item; `EOFError` or `OSError` mean that nobody is there any more.
        """
        self._loop = loop
        self._send = send
        self._items: queue.SimpleQueue[tuple[Item, int]] = queue.SimpleQueue()
        self._ended = False
        self.backlog = 0
        self.on_room: Callable[[], None] = _nothing
        self.on_end: Callable[[], None] = _nothing
        threading.Thread(target=self._run, name="graphport-writer", daemon=True).start()

    def put(self, item: Item, size: int) -> None:
        """Have an item of about so many bytes sent. On the loop's thread."""
        if not self._ended:
            self.backlog += size
            self._items.put((item, size))

    def _run(self) -> None:
        while True:
            item, size = self._items.get()
            try:
                self._send(item)
            except (EOFError, OSError):
                self._call(self._end)
                return
            del item  # not kept while the thread waits for the next
            self._call(self._sent, size)

    def _call(self, call: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            return  # the loop has closed

    def _sent(self, size: int) -> None:
        self.backlog -= size
        if not self.backlog:
            self.on_room()

    def _end(self) -> None:
        self._ended = True
        self.on_end()


class HandoverTransport:
    """Whole frames, handed over from and to another thread. See `transport.Transport`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Callable[[bytes], object]) -> None:
        """Make a transport.

        Args:
            loop: where callbacks run.
            send: sends the payload of one frame, see `SendingThread`.
        """
        self._loop = loop
        self._sender = SendingThread(loop, send)
        self._splitter = FrameSplitter()
        self._on_bytes: Callable[[bytes], None] | None = None
        self._early: list[bytes] = []

    @property
    def backlog(self) -> int:
        """See `Transport.backlog`."""
        return self._sender.backlog

    def start(self, on_bytes: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """See `Transport.start`. What was handed over before comes first, at once."""
        self._sender.on_end = on_end
        self._on_bytes = on_bytes
        early, self._early = self._early, []
        for payload in early:
            on_bytes(lone(payload))

    def hand_over(self, payload: bytes) -> None:
        """A frame has come. From any thread; never blocks."""
        try:
            self._loop.call_soon_threadsafe(self._take, payload)
        except RuntimeError:
            return  # the loop has closed

    def _take(self, payload: bytes) -> None:
        if self._on_bytes is None:
            self._early.append(payload)  # the loop's thread is still setting up the engine
        else:
            self._on_bytes(lone(payload))

    def end(self) -> None:
        """Nothing more will be handed over. On the loop's thread."""
        self._sender.on_end()

    def write(self, pieces: list[bytes]) -> None:
        """See `Transport.write`."""
        for payload in self._splitter.feed(b"".join(pieces)):
            self._sender.put(bytes(payload), len(payload))

    def on_room(self, callback: Callable[[], None]) -> None:
        """See `Transport.on_room`."""
        self._sender.on_room = callback


def _nothing() -> None:
    return
