"""Everything that nodes print or log, on its way to the BEAM's Logger.

`logging` records, `sys.stdout`/`sys.stderr`, and what C code or child processes write to fds 1 and 2. Log lines must
never hold up or crowd out answers: past `PENDING_BYTES` they are dropped and counted. Called by `server.serve`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import WireError
from graphport.wire import messages

if TYPE_CHECKING:
    import asyncio

    from graphport.server.descriptors import CapturedFds
    from graphport.server.outbox import Outbox

PENDING_BYTES: Final = 1_048_576
_LINE_BYTES: Final = 8_192
_READ_BYTES: Final = 65_536
# Names of loggers and threads, paths: what is longer is cut.
_NAME_CHARACTERS: Final = 255
_MESSAGE_BYTES: Final = 65_536
_LEVELS: Final = (
    (logging.CRITICAL, "critical"),
    (logging.ERROR, "error"),
    (logging.WARNING, "warning"),
    (logging.INFO, "info"),
)

# Libraries of ours that report every request at INFO.
_CHATTY: Final = ("httpx", "httpcore")


class LogOutlet:
    """Takes log lines from any thread and hands them to the outbox on the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox) -> None:
        self._loop = loop
        self._outbox = outbox
        self._lines: deque[tuple[str, str, str, dict[str, Any]]] = deque()
        self._pending_bytes = 0
        self._dropped = 0
        self._woken = False
        self._lock = threading.Lock()

    def put(self, level: str, logger: str, text: str, meta: dict[str, Any] | None = None) -> None:
        """Queue one line, or count it as dropped. Never blocks for long; any thread."""
        text = text[:_LINE_BYTES].encode("utf-8", "replace").decode()
        with self._lock:
            if self._pending_bytes + len(text) > PENDING_BYTES:
                self._dropped += 1
                return
            self._pending_bytes += len(text) + 64
            self._lines.append((level, logger, text, meta or {}))
            if self._woken:
                return
            self._woken = True
        try:
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            return  # the loop has closed

    def _deliver(self) -> None:
        if self._outbox.congested:
            self._loop.call_later(0.05, self._deliver)
            return
        with self._lock:
            lines, self._lines = self._lines, deque()
            dropped, self._dropped = self._dropped, 0
            self._pending_bytes = 0
            self._woken = False
        for line in lines:
            self._outbox.send(_packed(*line))
        if dropped:
            text = f"{dropped} log lines were dropped: nodes wrote faster than the log could be read"
            self._outbox.send(messages.log("warning", "graphport.logs", text, {"dropped": dropped}))


def _packed(level: str, logger: str, text: str, meta: dict[str, Any]) -> bytes:
    """A log message; names and facts that are too long or cannot be packed are left out rather than the line lost."""
    logger = logger[:_NAME_CHARACTERS].encode("utf-8", "replace").decode()
    small = {
        key: value[:_NAME_CHARACTERS].encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for key, value in meta.items()
    }
    try:
        packed = messages.log(level, logger, text, small)
    except WireError:
        packed = b""
    return packed if 0 < len(packed) <= _MESSAGE_BYTES else messages.log(level, logger, text, {})


class _RecordHandler(logging.Handler):
    """Passes `logging` records on, with the node's id if the record carries one."""

    def __init__(self, outlet: LogOutlet) -> None:
        super().__init__()
        self._outlet = outlet
        self._pid = os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._pass_on(record)
        except Exception:  # like every handler: a record that cannot be written is no reason for a node to fail
            self.handleError(record)

    def _pass_on(self, record: logging.LogRecord) -> None:
        if os.getpid() != self._pid:
            _write_raw(2, f"{record.levelname} {record.name}: {self.format(record)}\n".encode("utf-8", "replace"))
            return
        level = next((name for limit, name in _LEVELS if record.levelno >= limit), "debug")
        extra = getattr(record, "graphport", None)
        meta = {"thread": record.threadName, "line": record.lineno, "file": record.pathname}
        if isinstance(extra, dict):
            meta |= {key: value for key, value in extra.items() if isinstance(value, str | int | float)}
        self._outlet.put(level, record.name, self.format(record), meta)


class _PrintedStream(io.RawIOBase):
    """What `sys.stdout` and `sys.stderr` write to: whole lines become log lines."""

    def __init__(self, outlet: LogOutlet, level: str, name: str, fd: int) -> None:
        super().__init__()
        self._outlet, self._level, self._name, self._fd = outlet, level, name, fd
        self._lock = threading.Lock()
        self._unfinished = b""
        self._pid = os.getpid()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: Any) -> int:
        chunk = bytes(data)
        if os.getpid() != self._pid:
            _write_raw(self._fd, chunk)  # a forked child: our loop is not there to pass lines on, the fd is
            return len(chunk)
        with self._lock:
            *lines, self._unfinished = (self._unfinished + chunk).split(b"\n")
            if len(self._unfinished) > _LINE_BYTES:
                lines.append(self._unfinished)
                self._unfinished = b""
            for line in lines:
                self._outlet.put(self._level, self._name, line.decode("utf-8", "replace"))
        return len(chunk)

    def finish(self) -> None:
        """Pass on a last line without its end."""
        if self._unfinished:
            self.write(b"\n")


def _write_raw(fd: int, data: bytes) -> None:
    with contextlib.suppress(OSError):  # full or closed: dropped, like a flood from C
        os.write(fd, data)


class _CapturedPipe:
    """Reads what was written to fd 1 or 2 itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop, outlet: LogOutlet, level: str, name: str, fd: int) -> None:
        self._loop = loop
        self._outlet, self._level, self._name, self._fd = outlet, level, name, fd
        self._unfinished = b""

    def readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._fd)  # the node's code has closed fd 1 or 2: there is no other writer
            return
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        if len(self._unfinished) > _LINE_BYTES:
            lines.append(self._unfinished)
            self._unfinished = b""
        for line in lines:
            self._outlet.put(self._level, self._name, line.decode("utf-8", "replace"))


class LogCapture:
    """Leads all output of nodes to an outlet until `finish`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, outlet: LogOutlet, captured: CapturedFds) -> None:
        handler = _RecordHandler(outlet)
        root = logging.getLogger()
        root.handlers[:] = [handler]
        root.setLevel(logging.INFO)
        logging.captureWarnings(True)
        for chatty in _CHATTY:
            logging.getLogger(chatty).setLevel(logging.WARNING)
        self._streams: list[_PrintedStream] = []
        for fd, attribute, level in ((1, "stdout", "info"), (2, "stderr", "warning")):
            raw = _PrintedStream(outlet, level, attribute, fd)
            self._streams.append(raw)
            stream = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="replace", line_buffering=True)
            setattr(sys, attribute, stream)
            pipe = _CapturedPipe(loop, outlet, level, attribute, captured[fd - 1])
            loop.add_reader(captured[fd - 1], pipe.readable)

    def finish(self) -> None:
        """Pass on unfinished lines."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # the user's code may have put anything there
                stream.flush()
        for raw in self._streams:
            raw.finish()
