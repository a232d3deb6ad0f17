"""Counts demands, and remembers the last ones that took a run. Called by `run` and `evaluator`, once per demand."""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from graphport.demand.run import Run

# Nodarium's number.
_RUNS_KEPT: Final = 100

# (demand, session, what was demanded, code of the error, nodes run, cached, when prepared, received, answered)
_Row = tuple[int, int, Any, str | None, int, bool, float, float, float]


class Tally:
    """Demands of one engine.

    Attributes:
        completed: answered with outputs by a run; what the cache answered at once is counted by node type.
        failed: answered with an error, deadlines among them.
        cancelled: given up by whoever asked, or with their session.
        refused: named something that does not exist, or came too late.
        evictions_before: what the cache had given up when counting began.
    """

    __slots__ = ("_last", "cancelled", "completed", "evictions_before", "failed", "refused")

    def __init__(self) -> None:
        self._last: deque[_Row] = deque(maxlen=_RUNS_KEPT)
        self.completed = self.failed = self.cancelled = self.refused = 0
        self.evictions_before = 0

    def reset(self, evictions: int) -> None:
        """Begin anew, at so many evictions."""
        self._last.clear()
        self.evictions_before = evictions
        self.completed = self.failed = self.cancelled = self.refused = 0

    def ended(self, run: Run, ran: int, *, cached: bool = False, code: str | None = None) -> float:
        """Count a run that is about to be answered; returns the seconds since its demand came."""
        now = perf_counter()
        if run.demand < 0:
            return now - run.received  # of a graph within a node: part of the node's demand
        if code is None:
            self.completed += 1
        elif code == "cancelled":
            self.cancelled += 1
        else:
            self.failed += 1
        self._last.append((run.demand, run.session.id, run.node, code, ran, cached, run.prepared, run.received, now))
        return now - run.received

    def last_runs(self) -> list[dict[str, Any]]:
        """The last runs, the oldest first, as plain data; the protocol says what is in it."""
        return [_described(row) for row in self._last]


def _described(row: _Row) -> dict[str, Any]:
    demand, session, node, code, ran, cached, prepared, received, answered = row
    prepared = prepared or answered
    described = {
        "demand": demand,
        "session": session,
        "node": node,
        "state": "completed" if code is None else "cancelled" if code == "cancelled" else "failed",
        "ran": ran,
        "cache_hit": cached,
        "prepare_us": int((prepared - received) * 1e6),
        "runtime_us": int((answered - prepared) * 1e6),
        "total_us": int((answered - received) * 1e6),
    }
    return described if code is None else described | {"code": code}
