"""A child process watched from an event loop: its end by process id, its output by pipes that never block.

Implements `contracts.inference.ProcessSpawner` and `WorkerProcess`. Must not interpret output. Used by
`inference`.

The end is watched by process id and not by end-of-file, because a crashing C library may fork a debugger that
keeps the pipes open for minutes. `subprocess` and not asyncio's own: that one waits for the pipes, and starts
processes from other threads under some loops.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from graphport.core.errors import InferenceError
from graphport.process.ring_buffer import RingBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphport.contracts.inference import ProcessSpawner, WorkerCommand, WorkerProcess

OUTPUT_TAIL_BYTES: Final = 16 * 1024
LIFE_LINE_GRACE_SECONDS: Final = 0.5
TERMINATE_GRACE_SECONDS: Final = 5.0
_READ_BYTES: Final = 64 * 1024
_REST_READS: Final = 32  # a pipe holds at most 1 MiB; whoever else writes to it is not waited for
_MAX_LINE_BYTES: Final = 64 * 1024


class LocalSpawner:
    """Starts processes on this machine."""

    def __init__(self, base_environment: Mapping[str, str] | None = None) -> None:
        """Make a spawner.

        Args:
            base_environment: variables every child gets; None is a copy of ours at the time of each start.
        """
        self._base_environment = base_environment

    async def spawn(self, command: WorkerCommand) -> ChildProcess:
        """Start a process; see `contracts.inference.ProcessSpawner`."""
        base = os.environ if self._base_environment is None else self._base_environment
        return ChildProcess(command, {**base, **command.env})


class ChildProcess:
    """A running child. Made and used on the loop's thread."""

    def __init__(self, command: WorkerCommand, environment: Mapping[str, str]) -> None:
        """Start it.

        Raises:
            InferenceError: `backend_unavailable` if the program cannot be started.
        """
        self._loop = asyncio.get_running_loop()
        self._tail = RingBuffer(OUTPUT_TAIL_BYTES)
        self._lines: deque[bytes] = deque()
        self._partial_line = b""
        self._line_waiter: asyncio.Future[None] | None = None
        self._exit_callbacks: list[Callable[[], None]] = []
        self._exited = asyncio.Event()
        self._returncode: int | None = None
        self._open_outputs: dict[int, Callable[[bytes], None]] = {}
        self._life_line = -1
        self._pidfd = -1
        self._popen = self._start(command, environment)
        self._watch_exit()

    def _start(self, command: WorkerCommand, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        life_line_end, self._life_line = os.pipe()
        stdout, stdout_end = os.pipe()
        stderr, stderr_end = os.pipe()
        try:
            # A session of its own: its group can be killed as a whole, and a terminal's Ctrl-C does not
            # reach it.
            popen = subprocess.Popen(
                command.argv,
                stdin=life_line_end,
                stdout=stdout_end,
                stderr=stderr_end,
                env=dict(environment),
                start_new_session=True,
                close_fds=True,
            )
        except OSError as error:
            for descriptor in (self._life_line, stdout, stderr):
                os.close(descriptor)
            raise InferenceError(
                f"The program {command.argv[0]!r} could not be started: {error.strerror or error}.",
                code="backend_unavailable",
            ) from error
        finally:
            for descriptor in (life_line_end, stdout_end, stderr_end):
                os.close(descriptor)
        for descriptor, take in ((stdout, self._take_stdout), (stderr, self._tail.append)):
            os.set_blocking(descriptor, False)
            self._open_outputs[descriptor] = take
            self._loop.add_reader(descriptor, self._read_output, descriptor)
        return popen

    @property
    def pid(self) -> int:
        """The operating system's process id."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        return self._returncode

    def output_tail(self) -> str:
        """The last part of standard output and error together."""
        return self._tail.text()

    async def read_line(self) -> bytes | None:
        """The next line of standard output; None once the process has ended. For one reader at a time."""
        while not self._lines:
            if self._returncode is not None:
                return None
            self._line_waiter = self._loop.create_future()
            await self._line_waiter
        return self._lines.popleft()

    async def wait(self) -> int:
        """Wait for the process itself to end; the return code."""
        await self._exited.wait()
        assert self._returncode is not None
        return self._returncode

    def on_exit(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when the process has ended, or at once; returns how to take it back."""
        if self._returncode is not None:
            callback()
            return lambda: None
        self._exit_callbacks.append(callback)
        return lambda: self._forget(callback)

    async def stop(self) -> int:
        """Close the life line, then SIGTERM, then SIGKILL of the group, each after its time of grace."""
        self._close_life_line()
        try:
            for grace_seconds, next_signal in (
                (LIFE_LINE_GRACE_SECONDS, signal.SIGTERM),
                (TERMINATE_GRACE_SECONDS, signal.SIGKILL),
            ):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(grace_seconds):
                        return await self.wait()
                self._signal_group(next_signal)
            return await self.wait()
        except BaseException:
            self._signal_group(signal.SIGKILL)
            raise

    def _forget(self, callback: Callable[[], None]) -> None:
        with contextlib.suppress(ValueError):
            self._exit_callbacks.remove(callback)

    def _close_life_line(self) -> None:
        if self._life_line >= 0:
            os.close(self._life_line)
            self._life_line = -1

    def _signal_group(self, signal_number: int) -> None:
        # Only before the child is reaped: until then nobody else can have its id.
        if self._returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal_number)

    def _take_stdout(self, data: bytes) -> None:
        self._tail.append(data)
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        self._partial_line = self._partial_line[-_MAX_LINE_BYTES:]
        # Nobody reads lines once the worker is up, so old ones are dropped.
        self._lines.extend(lines)
        while len(self._lines) > 100:
            self._lines.popleft()
        if lines:
            self._wake_reader()

    def _wake_reader(self) -> None:
        if self._line_waiter is not None and not self._line_waiter.done():
            self._line_waiter.set_result(None)

    def _read_output(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        if data:
            self._open_outputs[descriptor](data)
        else:
            self._close_output(descriptor)

    def _close_output(self, descriptor: int) -> None:
        del self._open_outputs[descriptor]
        self._loop.remove_reader(descriptor)
        os.close(descriptor)

    def _watch_exit(self) -> None:
        if hasattr(os, "pidfd_open"):
            self._pidfd = os.pidfd_open(self._popen.pid)
            self._loop.add_reader(self._pidfd, self._reap)
        else:
            threading.Thread(target=self._wait_in_thread, daemon=True, name="child-watch").start()

    def _wait_in_thread(self) -> None:
        # WNOWAIT leaves the child unreaped, so that its id stays ours until `_reap` has signalled its group.
        os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            self._loop.call_soon_threadsafe(self._reap)

    def _reap(self) -> None:
        self._signal_group(signal.SIGKILL)  # whatever it left behind, a debugger above all
        self._returncode = self._popen.wait()
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        self._close_life_line()
        for descriptor in list(self._open_outputs):
            self._read_rest(descriptor)
        self._exited.set()
        self._wake_reader()
        callbacks, self._exit_callbacks = self._exit_callbacks, []
        for callback in callbacks:
            callback()

    def _read_rest(self, descriptor: int) -> None:
        """Take what is in the pipe now; its other end may stay open for ever."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(_REST_READS):
                if not (data := os.read(descriptor, _READ_BYTES)):
                    break
                self._open_outputs[descriptor](data)
        self._close_output(descriptor)


if TYPE_CHECKING:

    def _is_spawner(spawner: LocalSpawner) -> ProcessSpawner:
        return spawner

    def _is_process(process: ChildProcess) -> WorkerProcess:
        return process
