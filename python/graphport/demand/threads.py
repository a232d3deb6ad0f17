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

from graphport.demand.stuck import DEGRADED_AT

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from graphport.demand.flight import Flight
    from graphport.demand.stuck import StuckWork

# How far a thread may be ahead of the loop, and of who receives what it sends.
_CHUNKS_AHEAD: Final = 256
_BYTES_AHEAD: Final = 1_048_576
# How often a thread that is held back looks whether anybody still waits for it.
_LOOK_S: Final = 0.1

_log = logging.getLogger("graphport.threads")


class Room:
    """How far one node's thread is ahead. One that is held back holds back no other."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._chunks = self._bytes = 0

    def acquire(self, size: int, timeout: float) -> bool:
        """Go ahead by a chunk of so many bytes; False if there was no room within `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(size), timeout):
                return False
            self._chunks += 1
            self._bytes += size
            return True

    def _has_room(self, size: int) -> bool:
        # A chunk larger than all the room there is goes alone.
        return not self._chunks or (self._chunks < _CHUNKS_AHEAD and self._bytes + size <= _BYTES_AHEAD)

    def release(self, size: int) -> None:
        """The chunk has arrived."""
        with self._changed:
            self._chunks -= 1
            self._bytes -= size
            self._changed.notify()


class Mailbox:
    """Calls that threads want made on the loop's thread, in order, with one wake-up for many."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._woken = False
        self._waits: set[asyncio.Task[None]] = set()

    def post(self, call: Callable[..., None], *args: Any) -> None:
        """Have `call(*args)` made on the loop. Never blocks; after the loop has closed it does nothing."""
        self._calls.append((call, args))
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._deliver)

    def post_in_turn(
        self,
        room: Room,
        size: int,
        call: Callable[..., Coroutine[Any, Any, None] | None],
        *args: Any,
        unless: Callable[[], bool],
    ) -> bool:
        """Like `post`, but blocks the calling thread while the loop, or who receives what `call` sends, is far behind.

        Args:
            room: the node's.
            size: how many bytes of it this takes.
            call: may return something to await before the room is free again.
            args: its arguments.
            unless: gives the waiting up when it becomes true.

        Returns:
            False if the waiting was given up.
        """
        while not room.acquire(size, _LOOK_S):
            if unless():
                return False
        self.post(self._call_and_release, room, size, call, *args)
        return True

    def _call_and_release(
        self, room: Room, size: int, call: Callable[..., Coroutine[Any, Any, None] | None], *args: Any
    ) -> None:
        waits = None
        try:
            waits = call(*args)
        finally:
            if waits is None:
                room.release(size)
        if waits is not None:
            task = self._loop.create_task(waits)
            self._waits.add(task)
            task.add_done_callback(lambda done: self._waited(done, room, size))

    def _waited(self, task: asyncio.Task[None], room: Room, size: int) -> None:
        self._waits.discard(task)
        room.release(size)

    def _deliver(self) -> None:
        self._woken = False
        for _ in range(len(self._calls)):  # what comes meanwhile waits for the next turn, so that the pipe is polled
            call, args = self._calls.popleft()
            try:
                call(*args)
            except BaseException:  # what nodes hand over is foreign code
                _log.exception("a message from a node's thread could not be handled")
        if self._calls and not self._woken:
            self._woken = True
            self._loop.call_soon(self._deliver)


class NodeThreads:
    """The threads.

    Args:
        loop: where results are delivered.
        stuck: told of threads that return; for each that is stuck, up to `DEGRADED_AT`, there is a spare slot.
        max_threads: slots; None for four more than the machine has cores, at most 32.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, stuck: StuckWork, *, max_threads: int | None = None) -> None:
        self.mailbox = Mailbox(loop)
        self._stuck = stuck
        stuck.on_change = self._slots_changed
        self._max = max_threads or min(32, (os.cpu_count() or 1) + 4)
        self._work: queue.SimpleQueue[Flight | None] = queue.SimpleQueue()
        self._threads = 0
        # Submitted and not come back, also what waits for a thread.
        self._outstanding = 0
        self._pid = os.getpid()

    def submit(self, flight: Flight, inputs: dict[str, Any]) -> None:
        """Run a flight's node on a thread, as soon as one is free. Loop's thread only."""
        flight.inputs = inputs
        self._outstanding += 1
        self._work.put(flight)
        self._fit()

    @property
    def slots(self) -> int:
        """Threads that there may be. A stuck one keeps its slot; while there are any, a spare one stands in for it."""
        return self._max + min(self._stuck.threads, DEGRADED_AT)

    def describe(self) -> dict[str, int]:
        """How many slots there are that no stuck thread holds, and how many nodes wait for one."""
        return {"slots": self.slots - self._stuck.threads, "waiting": self._work.qsize()}

    def _slots_changed(self) -> None:
        if self._stuck.threads > DEGRADED_AT:
            left = self.slots - self._stuck.threads
            _log.warning("no spare slot is left: from now on %d nodes on threads at a time", left)
        self._fit()

    def _fit(self) -> None:
        """One more thread, if work waits for it and a slot is free; one fewer, if there is one too many."""
        if self._threads < min(self._outstanding, self.slots):
            self._threads += 1
            name = f"graphport-node-{self._threads}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        elif self._threads > self.slots:
            self._threads -= 1
            self._work.put(None)

    def _serve(self) -> None:
        while True:
            flight = self._work.get()
            if flight is None:
                return
            # Whoever cancels takes them away, so that they do not wait here for nothing.
            inputs, flight.inputs = flight.inputs, None
            if flight.cancelled or inputs is None:
                self.mailbox.post(self._came_back, flight, None)
                del flight, inputs
                continue
            flight.begun = True
            deliver = flight.call(inputs)
            if os.getpid() != self._pid:
                os._exit(0)  # the node forked, and this is the child: its answer is nobody's
            self.mailbox.post(self._came_back, flight, deliver)
            del flight, inputs, deliver

    def _came_back(self, flight: Flight, deliver: Callable[[], None] | None) -> None:
        self._outstanding -= 1
        self._stuck.ended(flight)
        if deliver is not None:
            deliver()
