"""Speaks to a real engine process over real pipes, as the BEAM does. Every wait has a limit and ends with a message."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.support.wire import packed

from graphport.wire.codec import unpack
from graphport.wire.framing import FrameSplitter
from graphport.wire.limits import CREDIT_EVERY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

PACKAGE_ROOT: Final = Path(__file__).parents[2] / "python"
_PATIENCE_S: Final = 30.0

Message = list[Any]


def framed(payload: bytes) -> bytes:
    """A payload with its length in front."""
    return len(payload).to_bytes(4, "big") + payload


class PortClient:
    """An engine process and this end of its pipe.

    Attributes:
        pid: of the engine.
        messages: everything read so far.
        frames: number of frames read so far, and `bytes` of their payloads.
    """

    def __init__(
        self, *arguments: str, folder: Path | None = None, stdio: bool = False, gives_credit: bool = False
    ) -> None:
        """Start an engine.

        Args:
            arguments: of `graphport port`.
            folder: where its node modules lie.
            stdio: the wire is standard input and output.
            gives_credit: as the BEAM does, while it reads; without, the engine's window shuts after 4 MiB.
        """
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        # High numbers, so that none of them is where the engine expects the wire.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 50) for fd in (theirs_in, theirs_out)]
        wire = (0, 1) if stdio else (3, 4)
        paths = [str(PACKAGE_ROOT), *([str(folder)] if folder else [])]
        command = [sys.executable, "-m", "graphport", "port", *(["--stdio"] if stdio else []), *arguments]
        self.pid = os.posix_spawn(
            sys.executable,
            command,
            os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, at) for fd, at in zip(high, wire, strict=True)],
        )
        for fd in (theirs_in, theirs_out, *high):
            os.close(fd)
        self._watch = os.pidfd_open(self.pid)
        self._status: int | None = None
        self._read_fd, self._write_fd = ours_in, ours_out
        self._open = {ours_in, ours_out}
        self._splitter = FrameSplitter()
        self._waiting: list[Message] = []
        self._parts: dict[int, list[bytes]] = {}
        self.messages: list[Message] = []
        self.frames = self.bytes = 0
        self._gives_credit = gives_credit
        self._credited = 0

    def __enter__(self) -> PortClient:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        for fd in (*self._open, self._watch):
            os.close(fd)

    # Writing

    def send(self, *messages: Message) -> None:
        """Send messages, each in a frame of its own."""
        self.send_raw(b"".join(framed(packed(message)) for message in messages))

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        while data:
            data = data[os.write(self._write_fd, data) :]

    def close_input(self) -> None:
        """End what the engine reads."""
        self._close(self._write_fd)

    def close_output(self) -> None:
        """Stop reading what the engine writes."""
        self._close(self._read_fd)

    def _close(self, fd: int) -> None:
        self._open.discard(fd)
        os.close(fd)

    # Reading

    def read(self) -> Message | None:
        """The next message, or None at the end."""
        until = time.monotonic() + _PATIENCE_S
        while not self._waiting:
            ready, _, _ = select.select([self._read_fd], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"the engine said nothing for {_PATIENCE_S} s after {self.messages[-3:]}"
            data = os.read(self._read_fd, 1 << 20)
            if not data:
                return None
            for payload in self._splitter.feed(data):
                self.frames += 1
                self.bytes += len(payload)
                value = unpack(payload)
                for message in [value] if isinstance(value[0], str) else value:
                    self._take(message)
            if self._gives_credit and self.bytes - self._credited >= CREDIT_EVERY_BYTES:
                self._credited = self.bytes
                self.send(["credit", self.frames, self.bytes])
        message = self._waiting.pop(0)
        self.messages.append(message)
        return message

    def _take(self, message: Message) -> None:
        """Put messages that come in parts together."""
        if message[0] != "part":
            self._waiting.append(message)
            return
        _, transfer, seq, last, data = message
        parts = self._parts.setdefault(transfer, [])
        assert seq == len(parts)
        parts.append(data)
        if last:
            self._waiting.append(unpack(b"".join(self._parts.pop(transfer))))

    def until(self, condition: Callable[[Message], bool]) -> Message:
        """The next message that fulfils a condition."""
        while (message := self.read()) is not None:
            if condition(message):
                return message
        raise AssertionError(f"the engine ended after {self.messages[-3:]}")

    def next(self, name: str) -> Message:
        """The next message of that name."""
        return self.until(lambda message: message[0] == name)

    def rest(self) -> list[Message]:
        """All messages up to the end."""
        read = []
        while (message := self.read()) is not None:
            read.append(message)
        return read

    # Conversations

    def hello(self, **options: Any) -> dict[str, Any]:
        """Shake hands; the engine's facts."""
        self.send(["hello", {"protocol": 1, "client": "tests", "options": options}])
        facts: dict[str, Any] = self.next("ready")[1]
        return facts

    def open(self, graph: dict[str, Any], *, session: int = 1, req: int = 1) -> Message:
        """Load a graph; the `reply` or `error`."""
        self.send(["open", req, session, graph, {}])
        return self.until(lambda message: message[0] in ("reply", "error") and message[1] == req)

    def demand(self, demand: int, node: str, *, session: int = 1, **options: Any) -> Message:
        """Demand a node; its last message."""
        self.send(["demand_async", demand, session, node, options])
        return self.answer(demand)

    def answer(self, demand: int) -> Message:
        """A demand's last message, which may have been read already: between demands no order is promised."""

        def is_it(one: Message) -> bool:
            return one[0] in ("demand_complete", "demand_error") and one[1] == demand

        read = next(filter(is_it, self.messages), None)
        return self.until(is_it) if read is None else read

    def ping(self, token: int = 1) -> None:
        """Be answered, which shows that the engine goes on."""
        self.send(["ping", token])
        self.until(lambda message: message == ["pong", token])

    def logged(self, text: str) -> Message:
        """The next log message that holds a text."""
        return self.until(lambda message: message[0] == "log" and text in message[3])

    # Ending

    @property
    def alive(self) -> bool:
        """Whether the process has not ended yet."""
        ended, _, _ = select.select([self._watch], [], [], 0)
        return not ended

    def wait(self) -> int:
        """The exit status; negative if a signal ended the engine."""
        if self._status is None:
            ended, _, _ = select.select([self._watch], [], [], _PATIENCE_S)
            assert ended, f"the engine did not end within {_PATIENCE_S} s"
            _, status = os.waitpid(self.pid, 0)
            self._status = os.waitstatus_to_exitcode(status)
        return self._status
