"""Interleaved timings of the same work done in several ways, and rows of them for `table.py`. Knows no engine."""

from __future__ import annotations

from statistics import median
from typing import Any


class Rounds:
    """Named timings of interleaved rounds, in seconds. All runs of a round must give the same value."""

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}
        self._value: Any = None

    def add(self, name: str, run: tuple[float, Any]) -> None:
        seconds, value = run
        if self._value is None:
            self._value = value
        if value != self._value:
            raise AssertionError(f"{name} gave {value!r}, not {self._value!r}")
        self.note(name, seconds)

    def note(self, name: str, seconds: float) -> None:
        self._times.setdefault(name, []).append(seconds)

    def ratio(self, name: str, peer: str) -> float:
        """The median of the rounds' ratios."""
        return median(one / other for one, other in zip(self._times[name], self._times[peer], strict=True))

    def micros(self, name: str, count: int) -> float:
        """The median, in microseconds for each of so many nodes."""
        return median(self._times[name]) / count * 1e6

    def row(self, figure: str, name: str, peer: str, count: int, target: str = "") -> None:
        ours, others = self.micros(name, count), self.micros(peer, count)
        ratio = self.ratio(name, peer)
        print(f"{figure}\t{ours:.2f} us/node\t{others:.2f} us/node\t{ratio:.2f}x\t{target}", flush=True)
