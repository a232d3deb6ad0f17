"""A node that raises what should end a process, or a cancel nobody asked for, fails its demand and nothing else."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.port_client import PortClient

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def engine() -> Iterator[PortClient]:
    """One for all these tests: it must bear them one after the other."""
    with PortClient("--nodes", "cancel_nodes", folder=Path(__file__).parent) as client:
        client.hello()
        yield client


# Of requests, sessions and demands: none is used twice.
_NUMBERS = itertools.count(1)


def demand(engine: PortClient, kind: str, **data: Any) -> list[Any]:
    session = next(_NUMBERS)
    assert engine.open(one(kind, **data), session=session, req=next(_NUMBERS))[0] == "reply"
    return engine.demand(next(_NUMBERS), "n", session=session)


def one(kind: str, **data: Any) -> dict[str, Any]:
    return {"nodes": [{"id": "n", "type": kind, "data": data}], "edges": []}


WHERE = ["raises-inline", "raises-in-thread", "raises-at-once", "raises-later", "raises-in-a-task"]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(
    ("what", "exception"),
    [("exit", "SystemExit"), ("interrupt", "KeyboardInterrupt"), ("cancelled", "CancelledError")],
)
def test_it_is_the_nodes_failure(engine: PortClient, where: str, what: str, exception: str) -> None:
    answer = demand(engine, where, what=what)

    assert answer[0] == "demand_error"
    assert (answer[3]["code"], answer[3]["exception"], answer[3]["node_id"]) == ("node_failed", exception, "n")
    assert demand(engine, "same", value="fine")[3] == {"value": "fine"}


def test_many_at_once_end_nobody_else(engine: PortClient) -> None:
    session, demands = next(_NUMBERS), [next(_NUMBERS) for _ in range(100)]
    nodes = [{"id": f"n{d}", "type": "exits-in-a-callback", "data": {}} for d in demands]
    assert engine.open({"nodes": nodes, "edges": []}, session=session, req=next(_NUMBERS))[0] == "reply"
    engine.send(*(["demand_async", d, session, f"n{d}", {}] for d in demands))

    assert [engine.answer(d)[0] for d in demands] == ["demand_complete"] * 100
    assert demand(engine, "same", value="fine")[3] == {"value": "fine"}


def test_what_a_callback_raises_is_logged(engine: PortClient) -> None:
    assert demand(engine, "exits-in-a-callback")[3] == {"value": "returned"}
    told = "a node interrupted the engine's loop"
    assert any(told in message[3] for message in engine.messages if message[0] == "log") or engine.logged(told)
    assert demand(engine, "same", value="fine")[3] == {"value": "fine"}
