"""Our own daemon threads for nodes that block.

Daemon threads of our own, because a pool from the standard library joins its threads at exit, and a node that never
returns must not keep the engine alive. A slot is free only when its thread has come back; a thread still away
`GRACE_S` after its node was cancelled counts as stuck. Called by `evaluator`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from graphport.demand.flight import Flight

GRACE_S: Final = 5.0
DEGRADED_AT: Final = 8
# How many chunks a thread may be ahead of the loop.
_AHEAD: Final = 256

_log = logging.getLogger("graphport.threads")


class Mailbox:
    """Calls that threads want made on the loop's thread, in order, with one wake-up for many."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._woken = False
        self._room = threading.Semaphore(_AHEAD)

    def post(self, call: Callable[..., None], *args: Any) -> None:
        """Have `call(*args)` made on the loop. Never blocks; after the loop has closed it does nothing."""
        self._calls.append((call, args))
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._deliver)

    def post_and_wait(self, call: Callable[..., None], *args: Any) -> None:
        """Like `post`, but blocks the calling thread while the loop is far behind."""
        self._room.acquire()
        self.post(self._call_and_release, call, *args)

    def _call_and_release(self, call: Callable[..., None], *args: Any) -> None:
        self._room.release()
        call(*args)

    def _deliver(self) -> None:
        self._woken = False
        while self._calls:
            call, args = self._calls.popleft()
            try:
                call(*args)
            except Exception:
                _log.exception("a message from a node's thread could not be handled")


class NodeThreads:
    """The threads.

    Args:
        loop: where results are delivered.
        max_threads: slots; None for four more than the machine has cores, at most 32.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, max_threads: int | None = None) -> None:
        self.mailbox = Mailbox(loop)
        self.stuck = 0
        self._loop = loop
        self._max = max_threads or min(32, (os.cpu_count() or 1) + 4)
        self._work: queue.SimpleQueue[tuple[Flight, dict[str, Any]]] = queue.SimpleQueue()
        self._threads = 0
        self._outstanding = 0

    def submit(self, flight: Flight, inputs: dict[str, Any]) -> None:
        """Run a flight's node on a thread, as soon as one is free. Loop's thread only."""
        self._outstanding += 1
        if self._threads < min(self._outstanding, self._max):
            self._threads += 1
            name = f"graphport-node-{self._threads}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        self._work.put((flight, inputs))

    def watch(self, flight: Flight) -> None:
        """Count the flight's thread as stuck unless it returns within the grace. Loop's thread only."""
        self._loop.call_later(GRACE_S, self._check_returned, flight)

    def _check_returned(self, flight: Flight) -> None:
        if flight.returned:
            return
        flight.stuck = True
        self.stuck += 1
        _log.warning(
            "node %r (%s) was cancelled %g s ago and its thread has not returned; look at ctx.cancelled in long work",
            flight.node.id,
            flight.node.type.spec.type,
            GRACE_S,
        )
        if self.stuck >= DEGRADED_AT:
            _log.error("%d node threads are stuck: the engine is degraded and should be restarted", self.stuck)

    def _serve(self) -> None:
        while True:
            flight, inputs = self._work.get()
            if flight.cancelled:
                self.mailbox.post(self._came_back, flight, None)
                continue
            deliver = flight.call(inputs)
            self.mailbox.post(self._came_back, flight, deliver)
            del flight, inputs, deliver

    def _came_back(self, flight: Flight, deliver: Callable[[], None] | None) -> None:
        self._outstanding -= 1
        flight.returned = True
        if flight.stuck:
            self.stuck -= 1
        if deliver is not None:
            deliver()
