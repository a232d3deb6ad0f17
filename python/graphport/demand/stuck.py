"""Executions that were cancelled and do not end: given a grace, then counted as stuck until they end after all.

An async node that cleans up is left alone for `GRACE_S`, then cancelled once more; a thread can only be waited for.
Nothing waits for what is stuck. At `DEGRADED_AT` the BEAM is told, once, and replaces the engine. Must not stop
anything but the node itself. Called by `flight`, `threads` and `evaluator`, on the loop's thread only.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from graphport.graph.compile import THREAD

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from graphport.demand.flight import Flight

GRACE_S: Final = 5.0
DEGRADED_AT: Final = 8
# From the second cancel of an async node until it counts.
_LAST_WORDS_S: Final = 0.1
_SHOWN: Final = 8

_log = logging.getLogger("graphport.stuck")


class StuckWork:
    """The executions that nobody waits for any more, of one engine.

    Args:
        loop: keeps the time.
        tell: called once with how many are stuck and a sentence, when the engine should be replaced.

    Attributes:
        flights: what is stuck, with the loop's time at which it was given up.
        threads: how many threads are stuck.
        degraded: whether `tell` was called.
        on_change: called when `threads` has changed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Callable[[int, str], None]) -> None:
        self.flights: dict[Flight, float] = {}
        self.threads = 0
        self.degraded = False
        self.on_change: Callable[[], None] = lambda: None
        self._loop = loop
        self._tell = tell
        self._watched: dict[Flight, asyncio.TimerHandle] = {}

    def watch(self, flight: Flight) -> None:
        """An execution has been cancelled and may take its grace to end."""
        self._watched[flight] = self._loop.call_later(GRACE_S, self._overdue, flight)

    def ended(self, flight: Flight) -> None:
        """An execution has ended. One that was not watched is ignored."""
        timer = self._watched.pop(flight, None)
        if timer is not None:
            timer.cancel()
        elif self.flights.pop(flight, None) is not None:
            _log.warning("%s has ended after all; %d are stuck still", _named(flight), len(self.flights))
            self._count_thread(flight, -1)

    def describe(self) -> list[dict[str, Any]]:
        """What is stuck, oldest first: node, type, execution, and milliseconds since it was cancelled."""
        now = self._loop.time()
        return [
            {
                "node": flight.node.id,
                "type": flight.node.type.spec.type,
                "execution": flight.node.type.spec.execution,
                "ms": int((now - since + GRACE_S) * 1000),
            }
            for flight, since in self.flights.items()
        ]

    def _overdue(self, flight: Flight) -> None:
        if flight.node.execution == THREAD:
            self._give_up(flight)
        elif flight.task is not None:
            flight.task.cancel()
            self._watched[flight] = self._loop.call_later(_LAST_WORDS_S, self._give_up, flight)

    def _give_up(self, flight: Flight) -> None:
        del self._watched[flight]
        if flight.node.execution == THREAD and not flight.begun:
            return  # no thread took it up, and none will
        self.flights[flight] = self._loop.time()
        advice = "its thread has not returned; look at ctx.cancelled, or call ctx.check_cancelled(), in long work"
        if flight.node.execution != THREAD:
            advice = "it goes on; let CancelledError through, and clean up in less time"
        _log.warning(
            "%s was cancelled %g s ago and is stuck: %s (%d stuck)", _named(flight), GRACE_S, advice, len(self.flights)
        )
        self._count_thread(flight, 1)
        if len(self.flights) >= DEGRADED_AT and not self.degraded:
            self._degrade()

    def _count_thread(self, flight: Flight, change: int) -> None:
        if flight.node.execution == THREAD:
            self.threads += change
            self.on_change()

    def _degrade(self) -> None:
        self.degraded = True
        names = ", ".join(_named(flight) for flight in list(self.flights)[:_SHOWN])
        reason = f"{len(self.flights)} nodes were cancelled and do not end: {names}"
        _log.error("the engine is degraded and should be replaced: %s", reason)
        self._tell(len(self.flights), reason)


def _named(flight: Flight) -> str:
    return f"node {flight.node.id[:100]!r} ({flight.node.type.spec.type[:100]})"
