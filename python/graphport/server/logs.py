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
# A line without its end waits so long for the rest.
_SETTLE_S: Final = 0.2
# What every record has; anything else came as `extra`.
_RECORD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "graphport"}
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
        self._lock = threading.RLock()

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
        meta = {key: value for key, value in vars(record).items() if key not in _RECORD_FIELDS and _is_plain(value)}
        meta |= {"thread": record.threadName, "line": record.lineno, "file": record.pathname}
        ours = getattr(record, "graphport", None)
        if isinstance(ours, dict):
            meta |= {key: value for key, value in ours.items() if _is_plain(value)}
        self._outlet.put(level, record.name, self.format(record), meta)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


class _Lines:
    """Makes log lines of what comes in pieces; a line that gets no end is passed on after a moment."""

    def __init__(self, loop: asyncio.AbstractEventLoop, outlet: LogOutlet, level: str, name: str) -> None:
        self._loop = loop
        self._outlet, self._level, self._name = outlet, level, name
        self._lock = threading.RLock()
        self._unfinished = b""
        self._waiting = False

    def add(self, data: bytes) -> None:
        """Any thread."""
        with self._lock:
            *lines, self._unfinished = (self._unfinished + data).split(b"\n")
            if len(self._unfinished) > _LINE_BYTES:
                lines.append(self._unfinished)
                self._unfinished = b""
            for line in lines:
                self._put(line)
            if not self._unfinished or self._waiting:
                return
            self._waiting = True
        with contextlib.suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(self._loop.call_later, _SETTLE_S, self.finish)

    def finish(self) -> None:
        """Pass on a last line without its end."""
        with self._lock:
            self._waiting = False
            unfinished, self._unfinished = self._unfinished, b""
            if unfinished:
                self._put(unfinished)

    def _put(self, line: bytes) -> None:
        self._outlet.put(self._level, self._name, line.decode("utf-8", "replace"))


class _PrintedStream(io.RawIOBase):
    """What `sys.stdout` and `sys.stderr` write to: whole lines become log lines."""

    def __init__(self, lines: _Lines, fd: int) -> None:
        super().__init__()
        self._lines, self._fd = lines, fd
        self._pid = os.getpid()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: Any) -> int:
        chunk = bytes(data)
        if os.getpid() == self._pid:
            self._lines.add(chunk)
        else:
            _write_raw(self._fd, chunk)  # a forked child: our loop is not there to pass lines on, the fd is
        return len(chunk)


def _write_raw(fd: int, data: bytes) -> None:
    with contextlib.suppress(OSError):  # full or closed: dropped, like a flood from C
        os.write(fd, data)


class _CapturedPipe:
    """Reads what was written to fd 1 or 2 itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lines: _Lines, fd: int) -> None:
        self._loop = loop
        self._lines, self._fd = lines, fd

    def readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        if data:
            self._lines.add(data)
        else:
            self._loop.remove_reader(self._fd)  # the node's code has closed fd 1 or 2: there is no other writer


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
        self._lines: list[_Lines] = []
        for fd, attribute, level in ((1, "stdout", "info"), (2, "stderr", "warning")):
            printed, written = (_Lines(loop, outlet, level, attribute) for _ in range(2))
            self._lines += [printed, written]
            raw = _PrintedStream(printed, fd)
            # Unbuffered, as with `python -u`: nothing waits in a buffer that a forked child would have too.
            stream = io.TextIOWrapper(raw, encoding="utf-8", errors="replace", write_through=True)  # type: ignore[type-var]
            setattr(sys, attribute, stream)
            pipe = _CapturedPipe(loop, written, captured[fd - 1])
            loop.add_reader(captured[fd - 1], pipe.readable)

    def finish(self) -> None:
        """Pass on unfinished lines."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # the user's code may have put anything there
                stream.flush()
        for lines in self._lines:
            lines.finish()
