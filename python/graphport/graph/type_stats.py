"""What the nodes of one type have cost and how the cache served them, in one engine.

The evaluator's hot loop measures batches of nodes of one type, and adds each batch here: nothing is done per node. Must
not know runs or sessions. Made by `compile`, counted up by `demand`, read by `demand.questions.metrics`.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import Final

# Percentiles are of the last measurements. A histogram of all of them would cost several times as much to fill.
_MEASUREMENTS_KEPT: Final = 1_000


class TypeStats:
    """Counters of one node type.

    Attributes:
        executions: how often a node of the type returned.
        seconds: what that took, for inline nodes with the evaluator's own share.
        failures: how often one raised, broke its declaration or ran into its time limit.
        hits: results taken from the cache while a demand was prepared or evaluated.
        at_once: demands of a node of the type that were answered from the cache without more ado.
        joined: executions of others that a demand waited for in place of one of its own.
        chunks: what the nodes have streamed.
    """

    __slots__ = ("_last", "_measured", "at_once", "chunks", "executions", "failures", "hits", "joined", "seconds")

    def __init__(self) -> None:
        self._last: deque[tuple[int, float]] = deque(maxlen=_MEASUREMENTS_KEPT)
        self._measured = self._last.append
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.executions = self.failures = self.hits = self.at_once = self.joined = self.chunks = 0
        self.seconds = 0.0
        self._last.clear()

    def add(self, executions: int, began: float) -> float:
        """Count executions that together took from `began`, by `perf_counter`, until now; returns now."""
        now = perf_counter()
        spent = now - began
        self.seconds += spent
        if executions:
            self.executions += executions
            self._measured((executions, spent))
        return now

    def percentiles(self, *shares: float) -> list[float] | None:
        """Durations in seconds that so large shares of the last executions did not exceed; None without any.

        Of those that were measured together each counts with their mean.

        Args:
            shares: from 0 to 1, ascending.
        """
        if not self._last:
            return None
        durations = sorted((spent / executions, executions) for executions, spent in self._last)
        total = sum(executions for _, executions in durations)
        found: list[float] = []
        below = 0
        for duration, executions in durations:
            below += executions
            while len(found) < len(shares) and below >= shares[len(found)] * total:
                found.append(duration)
        return found
