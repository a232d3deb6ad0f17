"""Full garbage collections at times when nobody waits.

With a graph of 100,000 nodes a full collection takes 130 ms and more, in which nothing else happens, and Python begins
one whenever enough objects have grown old, which is while nodes run. Here it waits until the engine is idle; if that
never is, it comes after `AT_LEAST_S` all the same. Young garbage is collected as ever. Called by `serve`.
"""

from __future__ import annotations

import gc
from time import perf_counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType

AT_LEAST_S: Final = 60.0
_LOOK_S: Final = 5.0
# Python's own count of middle collections after which a full one is due.
_DUE: Final = 10
# Collections take at most this share of the time.
_SHARE: Final = 0.01
_NEVER: Final = 1_000_000_000


class IdleCollections:
    """While entered, full collections are these.

    Args:
        loop: tells the time.
        is_idle: whether nobody waits for anything.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, is_idle: Callable[[], bool]) -> None:
        self._loop = loop
        self._is_idle = is_idle
        self._timer: asyncio.TimerHandle | None = None
        self._due_since: float | None = None
        self._thresholds = gc.get_threshold()

    def __enter__(self) -> None:
        young, middle, _ = self._thresholds = gc.get_threshold()
        gc.set_threshold(young, middle, _NEVER)
        self._timer = self._loop.call_later(_LOOK_S, self._look)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        gc.set_threshold(*self._thresholds)
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        took = 0.0
        if gc.get_count()[2] > _DUE:
            began = perf_counter()
            if self._due_since is None:
                self._due_since = began
            if self._is_idle() or began - self._due_since >= AT_LEAST_S:
                gc.unfreeze()  # what `loading` put aside
                gc.collect()
                self._due_since = None
                took = perf_counter() - began
        self._timer = self._loop.call_later(max(_LOOK_S, took / _SHARE), self._look)
