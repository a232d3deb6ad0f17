"""Engines with the hostile nodes of this folder. One is shared by all tests that it is to outlive."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.port_client import PortClient

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent


class SharedEngine:
    """An engine that all tests of a module use, each with sessions of its own."""

    def __init__(self) -> None:
        modules = ("--nodes", "hostile_nodes", "--nodes", "hostile_values")
        self.engine = PortClient(*modules, folder=FOLDER, gives_credit=True)
        self._numbers = count(1)
        self.engine.hello()

    def start(self, kind: str, *, options: dict[str, Any] | None = None, **data: Any) -> int:
        """Begin a demand in a session of its own; its number."""
        number = next(self._numbers)
        graph = {"nodes": [{"id": "n", "type": kind, "data": data}], "edges": []}
        opened = self.engine.open(graph, session=number, req=number)
        assert opened[0] == "reply", opened
        self.engine.send(["demand_async", number, number, "n", options or {}])
        return number

    def demand(self, kind: str, *, options: dict[str, Any] | None = None, **data: Any) -> list[Any]:
        """A demand's last message."""
        return self.engine.answer(self.start(kind, options=options, **data))

    def demand_beside_others(self, kind: str, *, options: dict[str, Any] | None = None, **data: Any) -> list[Any]:
        """A demand's last message; a demand of another session is under way meanwhile, and completes afterwards."""
        bystander = self.start("bystander", number=7)
        answer = self.demand(kind, options=options, **data)
        self.engine.ping(bystander)
        released = self.demand("release")
        assert released[0] == "demand_complete", released
        assert self.engine.answer(bystander)[3] == {"value": 7}
        ends = [one for one in self.engine.messages if one[0] in ("demand_complete", "demand_error")]
        assert len({one[1] for one in ends}) == len(ends), "one last message each"
        self.engine.messages.clear()
        return answer


@pytest.fixture(scope="module")
def _engines() -> Iterator[list[SharedEngine]]:
    engines: list[SharedEngine] = []
    yield engines
    for each in engines:
        each.engine.__exit__(None, None, None)


@pytest.fixture
def shared(_engines: list[SharedEngine]) -> SharedEngine:
    """The module's engine, which has to be alive still; a test after one that killed it gets another."""
    if not _engines or not _engines[-1].engine.alive:
        _engines.append(SharedEngine())
    return _engines[-1]
