"""Cancels and deadlines through the pipe: they pass uploads, end what is queued, and survive what is stuck."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.port_client import PortClient

from graphport.wire.codec import pack

if TYPE_CHECKING:
    from collections.abc import Iterator

_PART = 262_144


@pytest.fixture
def engine() -> Iterator[PortClient]:
    with PortClient("--nodes", "cancel_nodes", folder=Path(__file__).parent) as client:
        client.hello()
        yield client


def graph(**nodes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"nodes": [{"id": name, "type": kind, "data": data} for name, (kind, data) in nodes.items()], "edges": []}


def begin(engine: PortClient, demand: int, node: str) -> None:
    """Demand a node, and return when it says that it has begun."""
    engine.send(["demand_async", demand, 1, node, {"stream": True}])
    engine.until(lambda message: message[:2] == ["node_stream", demand])


def health(engine: PortClient, req: int) -> dict[str, Any]:
    engine.send(["query", req, "health", {}])
    result: dict[str, Any] = engine.until(lambda message: message[:2] == ["reply", req])[2]
    return result


def code(message: list[Any]) -> str:
    assert message[0] == "demand_error", message
    return str(message[3]["code"])


def parts(demand: int, node: str, value: str) -> list[list[Any]]:
    packed = pack(["demand_async", demand, 1, node, {"inputs": {node: {"value": value}}}])
    starts = range(0, len(packed), _PART)
    return [
        ["part", demand, seq, start + _PART >= len(packed), packed[start : start + _PART]]
        for seq, start in enumerate(starts)
    ]


def test_a_cancel_of_another_demand_passes_an_upload_of_64_mib(engine: PortClient) -> None:
    engine.open(graph(w=("waits", {}), s=("length", {"value": ""})))
    begin(engine, 1, "w")
    upload = parts(2, "s", "x" * 67_108_864)
    assert len(upload) > 250
    engine.send(*upload[:100], ["cancel", 1], *upload[100:200])

    assert code(engine.answer(1)) == "cancelled"
    engine.send(*upload[200:])
    assert engine.answer(2)[3] == {"value": 67_108_864}


def test_a_cancel_of_the_upload_itself_is_answered_though_parts_still_come(engine: PortClient) -> None:
    engine.open(graph(s=("length", {"value": ""})))
    upload = parts(2, "s", "x" * 67_108_864)
    engine.send(*upload[:100], ["cancel", 2], *upload[100:200])

    assert code(engine.answer(2)) == "cancelled"
    engine.send(*upload[200:])
    assert engine.demand(3, "s", inputs={"s": {"value": "y"}})[3] == {"value": 1}
    assert [message[1] for message in engine.messages if message[0] == "demand_error"] == [2]


def test_a_cancel_passes_an_upload_though_the_loop_is_busy(engine: PortClient) -> None:
    """The engine reads slowly, because nodes hold its loop between one look at the pipe and the next."""
    engine.open(graph(w=("waits", {}), s=("length", {"value": ""}), b=("busy", {"ms": 5})))
    begin(engine, 1, "w")
    upload = parts(2, "s", "x" * 4_000_000)
    for number, part in enumerate(upload[:-1]):
        engine.send(["demand_async", 100 + number, 1, "b", {}], part)
    engine.send(["cancel", 1], upload[-1])

    assert code(engine.answer(1)) == "cancelled"
    assert engine.answer(2)[3] == {"value": 4_000_000}
    last = [message[1] for message in engine.messages if message[0] in ("demand_complete", "demand_error")]
    assert last.index(1) < last.index(2)


@pytest.mark.parametrize("ending", ["cancel", "deadline"])
def test_what_waits_for_a_thread_is_answered_at_once_and_never_run(
    engine: PortClient, ending: str, tmp_path: Path
) -> None:
    go, told = tmp_path / "go", tmp_path / "told"
    engine.open(graph(h=("holds", {"path": str(go)}), t=("tells", {"path": str(told), "word": "run"})))
    slots = health(engine, 1)["threads"]["slots"]
    for demand in range(1, slots + 1):
        begin(engine, demand, "h")
    options = {"deadline_ms": 20} if ending == "deadline" else {}
    engine.send(["demand_async", 100, 1, "t", options])
    assert health(engine, 2)["threads"]["waiting"] in (0, 1)
    if ending == "cancel":
        engine.send(["cancel", 100])

    assert code(engine.answer(100)) == {"cancel": "cancelled", "deadline": "deadline_exceeded"}[ending]
    assert not any(message[0] == "demand_complete" for message in engine.messages)
    go.touch()
    for demand in range(1, slots + 1):
        assert engine.answer(demand)[3] == {"value": "held"}
    assert engine.demand(101, "t", inputs={"t": {"word": "later"}})[3] == {"value": "later"}
    assert told.read_text() == "later\n"


def test_what_waits_behind_a_busy_loop_is_not_run_after_its_deadline(engine: PortClient, tmp_path: Path) -> None:
    told = tmp_path / "told"
    engine.open(graph(b=("busy", {"ms": 100}), t=("tells", {"path": str(told), "word": "run"})))
    # In one frame, so that both are there before either is begun.
    engine.send([["demand_async", 1, 1, "b", {}], ["demand_async", 2, 1, "t", {"deadline_ms": 50}]])

    assert code(engine.answer(2)) == "deadline_exceeded"
    assert engine.answer(1)[3] == {"value": 100}
    engine.ping()
    assert not told.exists()


def test_stuck_threads_are_told_in_health_and_meta_and_eight_make_the_engine_degraded(
    engine: PortClient, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    engine.open(graph(h=("holds", {"path": str(go)}), s=("same", {"value": "x"})))
    slots = health(engine, 1)["threads"]["slots"]
    for number in range(1, 9):
        begin(engine, number, "h")
        engine.send(["cancel", number])
        assert code(engine.answer(number)) == "cancelled"
        engine.logged(f"({number} stuck)")
        if number == 7:
            seven = health(engine, 2)
            assert not any(message[0] == "degraded" for message in engine.messages)

    assert (seven["degraded"], len(seven["stuck"]), seven["threads"]["slots"]) == (False, 7, slots)
    assert {row["node"] for row in seven["stuck"]} == {"h"}
    degraded = [message for message in engine.messages if message[0] == "degraded"] or [engine.next("degraded")]
    assert degraded[0][1]["stuck"] == 8
    assert "holds" in degraded[0][1]["reason"]
    answer = engine.demand(100, "s", inputs={"s": {"value": "on"}})
    assert (answer[3], answer[4]["stuck"]) == ({"value": "on"}, 8)

    go.touch()
    engine.logged("0 are stuck still")
    after = health(engine, 3)
    assert (after["stuck"], after["threads"]["slots"]) == ([], slots)
    assert after["degraded"], "who was told is not told otherwise"
    answer = engine.demand(101, "s", inputs={"s": {"value": "off"}})
    assert "stuck" not in answer[4]
    assert [message[0] for message in engine.messages].count("degraded") == 1
