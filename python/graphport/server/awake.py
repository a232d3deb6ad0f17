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

_LOOK_S: Final = 0.000_1
# Reads further apart than this are not expected to go on.
_CLOSE_S: Final = 0.000_5
# After n looks in vain, one in so many reads is followed by another look: 2, 4, 8, at last 64.
_MOST_VAIN: Final = 6


class Awake:
    """Decides after each read whether the loop looks for another before it sleeps."""

    __slots__ = ("_looking", "_loop", "_read_at", "_skip", "_until", "_vain")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._looking = False
        self._read_at = self._until = 0.0
        self._vain = self._skip = 0

    def was_read(self) -> None:
        """Something has been read, and dealt with."""
        now = monotonic()
        close = now - self._read_at < _CLOSE_S
        self._read_at = now
        if self._looking:
            self._vain = 0
            self._until = now + _LOOK_S
        elif self._skip:
            self._skip -= 1
        elif close:
            self._looking = True
            self._until = now + _LOOK_S
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        """One more turn of the loop, which polls and finds nothing or reads."""
        if monotonic() < self._until:
            self._loop.call_soon(self._look)
        else:
            self._looking = False
            self._vain = min(self._vain + 1, _MOST_VAIN)
            self._skip = (1 << self._vain) - 1
