"""Those who wait for one thing to change. They look for themselves whether it has changed enough.

On the loop's thread only. Called by whoever sends: `outbox`, `window`, `bulk`, and the ErlPort door.
"""

from __future__ import annotations

import asyncio


class Waiters:
    """Tasks that wait until the next `wake`."""

    __slots__ = ("_futures",)

    def __init__(self) -> None:
        self._futures: list[asyncio.Future[None]] = []

    def __bool__(self) -> bool:
        return bool(self._futures)

    async def wait(self) -> None:
        """Return at the next `wake`."""
        future = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        await future

    def wake(self) -> None:
        """Let everybody go on who waits now."""
        futures, self._futures = self._futures, []
        for future in futures:
            if not future.done():
                future.set_result(None)
