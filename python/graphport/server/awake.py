"""Keeps the loop awake for a moment after a read, because an answer is often followed by the next demand.

A process that sleeps meanwhile is woken late, its caches cold: a demand then costs several times as much. Looking for
more costs a core for that moment, so it is done only where reads follow closely on one another, and seldom where that
did not help. Must not know what is read. Called by `transport`.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_LOOK_S: Final = 0.000_1
# Reads further apart than this are not expected to go on.
_CLOSE_S: Final = 0.000_5
# After n looks in vain, one in so many reads is followed by another look: 2, 4, 8, at last 64.
_MOST_VAIN: Final = 6


class Awake:
    """Decides after each read whether the loop looks for another before it sleeps.

    Args:
        loop: the event loop.
        clock: seconds. Bound here, where tools that freeze a module's time do not find it: the loop would never sleep.
    """

    __slots__ = ("_clock", "_looking", "_loop", "_read_at", "_skip", "_turned", "_until", "_vain")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = monotonic) -> None:
        self._loop = loop
        self._clock = clock
        # Whether a look is under way, and whether the loop has turned for it since the last read.
        self._looking = self._turned = False
        self._read_at = self._until = 0.0
        self._vain = self._skip = 0

    def was_read(self) -> None:
        """Something has been read, and dealt with."""
        now = self._clock()
        close = now - self._read_at < _CLOSE_S
        self._read_at, self._until = now, now + _LOOK_S
        if self._looking and self._turned:
            self._turned = False
            self._vain = 0
        elif self._looking or (close and not self._skip):  # a look without a turn was interrupted and lost
            self._looking, self._turned = True, False
            self._loop.call_soon(self._look)
        elif self._skip:
            self._skip -= 1

    def _look(self) -> None:
        """One more turn of the loop, which polls and finds nothing or reads."""
        self._turned = True
        if self._clock() < self._until:
            self._loop.call_soon(self._look)
        else:
            self._looking = False
            self._vain = min(self._vain + 1, _MOST_VAIN)
            self._skip = (1 << self._vain) - 1
