"""Sessions, demands, cancels and grants in random order with random numbers: every demand is answered exactly once."""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.faults.conftest import FOLDER
from tests.support.port_client import PortClient

from graphport.wire.codec import pack

if TYPE_CHECKING:
    from collections.abc import Callable

SEED: Final = int(os.environ.get("GRAPHPORT_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
STEPS: Final = 3_000
NODES: Final = {
    "wait": ("waits", {}),
    "text": ("text-input", {"text": "x"}),
    "counts": ("counts", {"to": 50}),
    "endless": ("endless-bytes", {}),
    "thread": ("endless-in-thread", {}),
}
GRAPH: Final = {"nodes": [{"id": key, "type": kind, "data": data} for key, (kind, data) in NODES.items()], "edges": []}
LARGE: Final = {"nodes": [{"id": str(n), "type": "waits", "data": {}} for n in range(300)], "edges": []}


class Host:
    """Says what comes to its mind, and counts what has to be answered."""

    def __init__(self, engine: PortClient, seed: int) -> None:
        self.engine = engine
        self.random = random.Random(seed)
        self.demanded: Counter[int] = Counter()
        self.requested: Counter[int] = Counter()
        self.answers: list[list[Any]] = []
        self.last: list[Any] = []
        self._credited = 0
        self._next_request = 0
        self._words: list[Callable[[], list[Any]]] = [self._open, self._close, self._cancel, self._grant]
        self._words += [self._demand] * 6 + [self._stray_part]

    def hear(self, until: Callable[[], bool]) -> None:
        """Read, and give credit, until something is so."""
        while not until():
            message = self.engine.read()
            assert message is not None, "the engine ended"
            if message[0] in ("demand_complete", "demand_error", "reply", "error"):
                self.answers.append(message)
            self.engine.messages.clear()
            self.last = message
            if self.engine.bytes - self._credited > 100_000:
                self._credited = self.engine.bytes
                self.engine.send(["credit", self.engine.frames, self.engine.bytes])

    def ping(self, token: int) -> None:
        """Read up to the answer."""
        self.engine.send(["ping", token])
        self.hear(lambda: self.last == ["pong", token])

    def all_answered(self) -> bool:
        """Whether as much has been answered as was asked."""
        return len(self.answers) >= self.demanded.total() + self.requested.total()

    def say(self) -> list[Any]:
        return self.random.choice(self._words)()

    def _number(self) -> int:
        return self.random.randrange(60)

    def _session(self) -> int:
        return self.random.randrange(4)

    def request(self) -> int:
        self._next_request += 1
        self.requested[self._next_request] += 1
        return self._next_request

    def _open(self) -> list[Any]:
        return ["open", self.request(), self._session(), LARGE if self.random.random() < 0.1 else GRAPH, {}]

    def _close(self) -> list[Any]:
        return ["close", self.request(), self._session()]

    def _demand(self) -> list[Any]:
        number = self._number()
        self.demanded[number] += 1
        options = {
            "stream": self.random.random() < 0.8,
            "events": self.random.random() < 0.2,
            "window": self.random.choice((1, 3)),
            "deadline_ms": self.random.choice((None, None, 0, 1, 20)),
        }
        node = self.random.choice((*NODES, "nowhere", ["text", "counts"], "*"))
        if node in ("wait", "text", "counts"):
            options["window"] = self.random.choice((None, 1))
        return ["demand_async", number, self._session(), node, options]

    def _cancel(self) -> list[Any]:
        return ["cancel", self._number()]

    def _grant(self) -> list[Any]:
        return ["grant", self._number(), self.random.choice((1, 2, 1_000))]

    def _stray_part(self) -> list[Any]:
        return ["part", 10_000 + self._number(), self.random.randrange(1, 5), True, b"x"]


def converse(seed: int, steps: int) -> Host:
    """A conversation, to the end."""
    with PortClient("--nodes", "host_nodes", folder=FOLDER) as engine:
        engine.hello()
        host = Host(engine, seed)
        while steps > 0:
            batch = [host.say() for _ in range(host.random.randrange(1, 30))]
            steps -= len(batch)
            if host.random.random() < 0.5 and len(pack(batch)) < 1_000_000:
                engine.send(batch)
            else:
                engine.send(*batch)
            host.ping(steps)
        engine.send(*[["close", host.request(), session] for session in range(4)])
        # What is done but kept back by its window waits for a grant.
        engine.send(*[["grant", number, 1_000_000] for number in range(60)])
        host.hear(host.all_answered)
        host.ping(-1)
        engine.close_input()
        engine.rest()
        assert engine.wait() == 0
        return host


@pytest.mark.parametrize("round_", range(3))
def test_every_demand_and_request_is_answered_exactly_once(round_: int) -> None:
    print(f"GRAPHPORT_FUZZ_SEED={SEED}")  # noqa: T201 - shown when it fails
    host = converse(SEED + round_, STEPS)
    messages = host.answers

    duplicates = [message for message in messages if message[:2] == ["error", None]]
    assert {message[2]["code"] for message in duplicates} <= {"duplicate_id"}
    ends = Counter(message[1] for message in messages if message[0] in ("demand_complete", "demand_error"))
    assert ends.total() + len(duplicates) == host.demanded.total()
    assert all(ends[number] <= count for number, count in host.demanded.items())
    assert set(ends) <= set(host.demanded)
    replies = Counter(message[1] for message in messages if message[0] in ("reply", "error") and message[1] is not None)
    assert replies == host.requested
    codes = {message[3]["code"] for message in messages if message[0] == "demand_error"}
    assert codes <= {"cancelled", "deadline_exceeded", "unknown_session", "unknown_node"}
