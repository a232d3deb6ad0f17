"""The deadlines of demands that are done and whose last message still waits to be sent. Called by `outbox`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Overdue:
    """Timers by demand. There are few: most last messages leave at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[int, bytes], None]) -> None:
        """Take what is called with a demand, and what to say of it, when its time has come."""
        self._loop = loop
        self._expire = expire
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def __bool__(self) -> bool:
        return bool(self._timers)

    def watch(self, demand: int, when: float, packed: bytes) -> None:
        """Expire a demand at a time of the loop's clock."""
        self._timers[demand] = self._loop.call_at(when, self._come, demand, packed)

    def forget(self, demand: int) -> None:
        """The last message has gone. Unknown demands are ignored."""
        timer = self._timers.pop(demand, None)
        if timer is not None:
            timer.cancel()

    def _come(self, demand: int, packed: bytes) -> None:
        del self._timers[demand]
        self._expire(demand, packed)
