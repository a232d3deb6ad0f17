"""Moves bytes between the loop and the wire's file descriptors.

`PipeTransport` uses non-blocking fds and the loop's own polling: no thread, no extra hop. `ThreadTransport` serves
`--stdio`, where the fds belong to someone else and their flags must stay as they are. Neither knows frames or windows.
Called by `connection`.
"""

from __future__ import annotations

import os
import queue
import select
import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from graphport.server.awake import Awake

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from graphport.server.descriptors import WireFds

_READ_BYTES: Final = 65_536
_LARGE_READ_BYTES: Final = 1_048_576


class Transport(Protocol):
    """Bytes in and out. All methods and callbacks run on the loop's thread and do not block."""

    @property
    def backlog(self) -> int:
        """Bytes written here that the operating system has not taken yet."""

    def start(self, on_bytes: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """Begin to read. `on_end` is called once, at end of file or on a broken pipe."""

    def write(self, pieces: list[bytes]) -> None:
        """Send the pieces in order, now or as soon as there is room."""

    def on_room(self, callback: Callable[[], None]) -> None:
        """Have `callback` called whenever the backlog has gone."""


class PipeTransport:
    """The pipe of an Erlang port."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fds: WireFds) -> None:
        self._loop = loop
        self._fds = fds
        self._awake = Awake(loop)
        self._waiting: deque[memoryview] = deque()
        self._on_room: Callable[[], None] = _nothing
        self._ended = False
        self.backlog = 0

    def start(self, on_bytes: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """See `Transport.start`."""
        self._on_bytes, self._on_end = on_bytes, on_end
        self._read_bytes = _READ_BYTES
        self._loop.add_reader(self._fds.read, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._fds.read, self._read_bytes)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        # A full read means a large frame is on its way: fewer, larger reads then.
        self._read_bytes = _LARGE_READ_BYTES if len(data) == self._read_bytes else _READ_BYTES
        self._on_bytes(data)
        self._awake.was_read()

    def write(self, pieces: list[bytes]) -> None:
        """See `Transport.write`."""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._ended:
            return
        if self._waiting:
            self._waiting.append(memoryview(data))
            self.backlog += len(data)
            return
        try:
            written = os.write(self._fds.write, data)
        except BlockingIOError:
            written = 0
        except OSError:
            self._end()
            return
        if written < len(data):
            self._waiting.append(memoryview(data)[written:])
            self.backlog = len(data) - written
            self._loop.add_writer(self._fds.write, self._writable)

    def drain(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        """Block until everything is written, at most so long: for a loop that is not going on."""
        until = clock() + seconds
        poll = select.poll()
        poll.register(self._fds.write, select.POLLOUT)
        while self._waiting and not self._ended and (left := until - clock()) > 0:
            if poll.poll(left * 1_000):
                self._writable()

    def _writable(self) -> None:
        try:
            while self._waiting:
                head = self._waiting[0]
                written = os.write(self._fds.write, head)
                self.backlog -= written
                if written < len(head):
                    self._waiting[0] = head[written:]
                    return
                self._waiting.popleft()
        except BlockingIOError:
            return
        except OSError:
            self._end()
            return
        self._loop.remove_writer(self._fds.write)
        self._on_room()

    def on_room(self, callback: Callable[[], None]) -> None:
        """See `Transport.on_room`."""
        self._on_room = callback

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._loop.remove_reader(self._fds.read)
            self._loop.remove_writer(self._fds.write)
            self._on_end()


class ThreadTransport:
    """Standard input and output, by one reading and one writing thread with blocking calls."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fds: WireFds, *, at_end: Callable[[], None] | None = None
    ) -> None:
        """Make a transport.

        Args:
            loop: where callbacks run.
            fds: the wire.
            at_end: called on the reading thread at end of file, for what must happen although the loop is held up.
        """
        self._loop = loop
        self._fds = fds
        self._at_end = at_end
        self._out: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._on_room: Callable[[], None] = _nothing
        self._ended = False
        self.backlog = 0

    def start(self, on_bytes: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """See `Transport.start`."""
        self._on_bytes, self._on_end = on_bytes, on_end
        self._writer = threading.Thread(target=self._write_out, name="graphport-writer", daemon=True)
        self._writer.start()
        threading.Thread(target=self._read, name="graphport-reader", daemon=True).start()

    def write(self, pieces: list[bytes]) -> None:
        """See `Transport.write`."""
        if self._ended:
            return
        data = b"".join(pieces)
        self.backlog += len(data)
        self._out.put(data)

    def on_room(self, callback: Callable[[], None]) -> None:
        """See `Transport.on_room`."""
        self._on_room = callback

    def drain(self, seconds: float) -> None:
        """Block until everything is written, at most so long: for a loop that is not going on. Write nothing more."""
        self._out.put(b"")
        self._writer.join(seconds)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._fds.read, _READ_BYTES)
            except OSError:
                data = b""
            if not data:
                self._call(self._end)
                if self._at_end is not None:
                    self._at_end()
                return
            self._call(self._on_bytes, data)

    def _write_out(self) -> None:
        while True:
            data = self._out.get()
            if not data:
                return
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(self._fds.write, view) :]
            except OSError:
                self._call(self._end)
                return
            self._call(self._wrote, len(data))

    def _call(self, call: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            return  # the loop has closed

    def _wrote(self, size: int) -> None:
        self.backlog -= size
        if not self.backlog:
            self._on_room()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._on_end()


def _nothing() -> None:
    return
