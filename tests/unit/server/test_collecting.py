"""Full collections wait until nobody waits, and come at last all the same."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from graphport.server import collecting
from graphport.server.collecting import IdleCollections

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class Loop:
    """A loop whose time stands still until it is told to go on."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> Loop:
        self.timers.append((delay, callback))
        return self

    def cancel(self) -> None:
        self.timers.clear()

    def pass_by(self) -> float:
        delay, callback = self.timers.pop(0)
        callback()
        return delay


def test_python_begins_no_full_collection_meanwhile_and_its_thresholds_come_back() -> None:
    before = gc.get_threshold()
    loop: Any = Loop()

    with IdleCollections(loop, lambda: True):
        assert gc.get_threshold()[:2] == before[:2]
        assert gc.get_threshold()[2] > 1_000_000

    assert gc.get_threshold() == before
    assert loop.timers == []


def test_one_that_is_due_waits_for_idleness(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(gc, "collect", lambda: told.append("collected"))
    monkeypatch.setattr(gc, "get_count", lambda: (0, 0, 11))
    idle = False
    loop: Any = Loop()
    with IdleCollections(loop, lambda: idle):
        loop.pass_by()
        assert told == []

        idle = True
        loop.pass_by()
        assert told == ["collected"]


def test_one_that_is_not_due_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(gc, "collect", lambda: told.append("collected"))
    monkeypatch.setattr(gc, "get_count", lambda: (0, 0, 3))
    loop: Any = Loop()
    with IdleCollections(loop, lambda: True):
        loop.pass_by()
    assert told == []


def test_where_idleness_never_comes_it_comes_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    now = [0.0]
    monkeypatch.setattr(gc, "collect", lambda: told.append("collected"))
    monkeypatch.setattr(gc, "get_count", lambda: (0, 0, 11))
    monkeypatch.setattr(collecting, "perf_counter", lambda: now[0])
    loop: Any = Loop()
    with IdleCollections(loop, lambda: False):
        loop.pass_by()
        now[0] = collecting.AT_LEAST_S - 1
        loop.pass_by()
        assert told == []

        now[0] = collecting.AT_LEAST_S
        loop.pass_by()
        assert told == ["collected"]


def test_a_long_one_is_followed_by_a_long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(gc, "collect", lambda: now.__setitem__(0, now[0] + 2.0))
    monkeypatch.setattr(gc, "get_count", lambda: (0, 0, 11))
    monkeypatch.setattr(collecting, "perf_counter", lambda: now[0])
    loop: Any = Loop()
    with IdleCollections(loop, lambda: True):
        loop.pass_by()

        assert loop.pass_by() >= 200
