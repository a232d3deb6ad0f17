"""Works out answers that take a while, a bit per turn of the loop, so that demands go on meanwhile.

Questions about a graph of 100,000 nodes look at each of them. Must not know what is asked. Called by `connection`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import GraphportError, InternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

# Seconds of a turn of the loop that all answers together may take.
_TURN_S: Final = 0.001

_log = logging.getLogger("graphport.queries")


class Answering:
    """Answers under way, each of which gets its turn."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Generator[Any, None, Any], Callable[[Any], None]]] = deque()
        self._planned = False

    def add(self, work: Generator[Any, None, Any], done: Callable[[Any], None]) -> None:
        """Work an answer out; one that needs but a moment is there when this returns.

        Args:
            work: pauses now and then, and returns the answer. Where it yields a future it goes on when that is done.
            done: called with the answer, or with the `GraphportError` that was raised in its place.
        """
        if self._waiting or not self._advance(work, done):
            self._queue(work, done)

    def _queue(self, work: Generator[Any, None, Any], done: Callable[[Any], None]) -> None:
        self._waiting.append((work, done))
        self._plan()

    def _plan(self) -> None:
        if not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._planned = False
        work, done = self._waiting.popleft()
        if not self._advance(work, done):
            self._queue(work, done)
        elif self._waiting:
            self._plan()

    def _advance(self, work: Generator[Any, None, Any], done: Callable[[Any], None]) -> bool:
        """Go on with it till the time is up; False if it wants another turn."""
        until = perf_counter() + _TURN_S
        try:
            while perf_counter() < until:
                awaited = next(work)
                if awaited is not None:
                    awaited.add_done_callback(lambda _: self._queue(work, done))
                    return True
        except StopIteration as over:
            done(over.value)
            return True
        except GraphportError as error:
            done(error)
            return True
        except Exception as error:  # the session's border, as for any message
            _log.exception("a question could not be answered")
            done(
                InternalError(
                    f"the question could not be answered: {type(error).__name__}; the engine's log says where"
                )
            )
            return True
        return False
