"""A store's own thread: what touches disk happens there, one thing after the other, and the event loop awaits it.

Called by the stores that have files. The thread is a daemon: one that a slow disk holds keeps no engine alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from graphport.core.errors import GraphportError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Operation = TypeVar("Operation")


class Job(Generic[Operation]):
    """One thing to do, and who waits for it.

    Attributes:
        operation: what the store wants done.
    """

    __slots__ = ("_future", "_loop", "operation")

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[Any] = self._loop.create_future()

    @property
    def future(self) -> asyncio.Future[Any]:
        """What the loop awaits."""
        return self._future

    def done(self, result: Any) -> None:
        """From the thread: hand over a result."""
        self._tell(self._future.set_result, result)

    def failed(self, error: GraphportError) -> None:
        """From the thread: hand over an error."""
        self._tell(self._future.set_exception, error)

    def _tell(self, tell: Callable[[Any], None], what: Any) -> None:
        def deliver() -> None:
            if not self._future.done():
                tell(what)

        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits
            self._loop.call_soon_threadsafe(deliver)


class StoreThread(Generic[Operation]):
    """The thread. Starts with its first job.

    Args:
        serve: called on the thread with one or more jobs, oldest first; answers each of them. An exception of it fails
            all that are unanswered.
        at_once: the most jobs given at a time.

    Attributes:
        closed: takes no more jobs.
    """

    def __init__(self, serve: Callable[[Sequence[Job[Operation]]], None], *, at_once: int = 1) -> None:
        self._serve_jobs = serve
        self._at_once = at_once
        self._jobs: queue.SimpleQueue[Job[Operation] | None] = queue.SimpleQueue()
        self._started = False
        self.closed = False

    async def do(self, operation: Operation) -> Any:
        """Have it done; returns or raises what the thread says.

        Raises:
            StoreError: also if the store is closed.
        """
        if self.closed:
            raise StoreError("the cache store is closed")
        if not self._started:
            self._started = True
            threading.Thread(target=self._serve, name="graphport-store", daemon=True).start()
        job = Job(operation)
        self._jobs.put(job)
        return await job.future

    def end(self) -> None:
        """Take no more jobs; the thread ends when it has done those it has."""
        self.closed = True
        self._jobs.put(None)

    def _serve(self) -> None:
        while True:
            jobs, ends = self._next_jobs()
            if jobs:
                try:
                    self._serve_jobs(jobs)
                except Exception as error:  # the thread's border: who waits must be told
                    failure = StoreError(f"the cache store failed: {type(error).__name__}: {error}")
                    for job in jobs:
                        job.failed(failure)
            if ends:
                return

    def _next_jobs(self) -> tuple[list[Job[Operation]], bool]:
        """Wait for a job, and take what has come with it; and whether none will follow."""
        jobs: list[Job[Operation]] = []
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == self._at_once:
                return jobs, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True
