"""Which run goes on next: sessions in turn, and within a session its runs in turn.

A session with a thousand ready runs gets no more than one with a single run. Called by `evaluator`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from graphport.demand.run import Run
    from graphport.demand.session import Session

# Seconds for which nodes may hold the loop before the pipe is polled again.
TURN_S: Final = 0.002


class ReadyQueue:
    """A ring of sessions, each with a queue of runs. A run is in it at most once."""

    __slots__ = ("_ring",)

    def __init__(self) -> None:
        self._ring: deque[Session] = deque()

    def __bool__(self) -> bool:
        return bool(self._ring)

    def add(self, run: Run) -> None:
        """Put a run behind the others of its session, unless it waits already."""
        if run.queued:
            return
        run.queued = True
        session = run.session
        session.ready.append(run)
        if not session.queued:
            session.queued = True
            self._ring.append(session)

    def take(self) -> Run | None:
        """The next run, or None. The caller adds it again if it stays ready."""
        while self._ring:
            session = self._ring.popleft()
            run = session.ready.popleft()
            run.queued = False
            if session.ready:
                self._ring.append(session)
            else:
                session.queued = False
            if not run.closed:
                return run
        return None
