"""Edits on the wire: the reply, the order with what comes before and after, and edits meant to harm."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from graphport.wire.codec import pack

if TYPE_CHECKING:
    from tests.support.port_client import Message, PortClient

# More than is edited on the loop.
LARGE = 5_000


def many(count: int, kind: str = "shout") -> dict[str, Any]:
    nodes = [{"id": f"n{number}", "type": kind, "data": {"text": "x"}} for number in range(count)]
    return {"nodes": nodes, "edges": []}


def setting(node: str, text: str) -> dict[str, Any]:
    return {"set": node, "data": {"text": text}}


def wire(source: str, target: str) -> dict[str, str]:
    return {"source": source, "source_handle": "value", "target": target, "target_handle": "text"}


def reply(engine: PortClient, req: int) -> Message:
    return engine.until(lambda message: message[0] in ("reply", "error") and message[1] == req)


def test_the_reply_says_what_is_dirty(engine: PortClient) -> None:
    engine.open(many(3))
    engine.send(["update", 2, 1, [{"connect": wire("n0", "n1")}]])
    assert reply(engine, 2)[2] == {"revision": 2, "dirty": ["n1"], "dirty_count": 1, "nodes": 3, "sinks": ["n1", "n2"]}

    engine.send(["update", 3, 1, [setting("n0", "ab"), {"remove": "n2"}]])

    assert reply(engine, 3)[2] == {
        "revision": 3,
        "dirty": ["n0", "n1"],
        "dirty_count": 2,
        "nodes": 2,
        "sinks": ["n1"],
    }
    answer = engine.demand(4, "n1")
    assert answer[3] == {"value": "AB"}
    assert answer[4]["revision"] == 3


@pytest.mark.parametrize("size", [3, LARGE])
def test_a_demand_sees_the_updates_before_it_and_none_after(engine: PortClient, size: int) -> None:
    engine.open(many(size))
    engine.demand(9, "n1")
    engine.send(
        ["demand_async", 10, 1, "n1", {}],
        ["update", 2, 1, [setting("n1", "b")]],
        ["demand_async", 11, 1, "n1", {}],
        ["update", 3, 1, [setting("n1", "c")]],
        ["update", 4, 1, [setting("n1", "d")]],
        ["demand_async", 12, 1, "n1", {}],
    )

    assert [engine.answer(demand)[3]["value"] for demand in (10, 11, 12)] == ["X", "B", "D"]
    revisions = [message[2]["revision"] for message in engine.messages if message[0] == "reply" and message[1] > 1]
    assert revisions == [2, 3, 4]


def test_other_sessions_go_on_while_a_large_one_is_edited(engine: PortClient) -> None:
    engine.open(many(LARGE))
    engine.open(many(1), session=2, req=2)
    edits = [setting(f"n{number}", "y") for number in range(LARGE)]
    engine.send(["update", 3, 1, edits], ["demand_async", 4, 2, "n0", {}], ["demand_async", 5, 1, "n7", {}])

    assert engine.answer(5)[3] == {"value": "Y"}

    kinds = [(message[0], message[1]) for message in engine.messages]
    assert kinds.index(("demand_complete", 4)) < kinds.index(("reply", 3)) < kinds.index(("demand_complete", 5))


def test_an_update_in_parts_and_a_dirty_list_that_is_cut(engine: PortClient) -> None:
    engine.open(many(LARGE))
    packed = pack(["update", 2, 1, [setting(f"n{number}", "y" * 100) for number in range(LARGE)]])
    assert len(packed) > 262_144
    for seq, start in enumerate(range(0, len(packed), 262_144)):
        engine.send(["part", 2, seq, start + 262_144 >= len(packed), packed[start : start + 262_144]])

    told = reply(engine, 2)[2]

    assert told["dirty"] == [f"n{number}" for number in range(1_000)]
    assert told["dirty_count"] == LARGE


def test_a_refused_update_leaves_the_session_as_it_was(engine: PortClient) -> None:
    engine.open(many(3))
    engine.send(["update", 2, 1, [setting("n0", "new"), {"remove": "nope"}, {"connect": wire("n0", "n0")}]])

    error = reply(engine, 2)[2]

    assert error["code"] == "invalid_graph"
    assert [fault["code"] for fault in error["details"]["faults"]] == ["unknown_node", "cycle"]
    answer = engine.demand(3, "n0")
    assert (answer[3], answer[4]["revision"]) == ({"value": "X"}, 1)


def test_updates_of_unknown_sessions_and_of_wrong_types_are_told(engine: PortClient) -> None:
    engine.send(["update", 2, 9, []], ["update", 3, 9, "no list"], ["update", 4, "nine", []])

    assert reply(engine, 2)[2]["code"] == "unknown_session"
    assert reply(engine, 3)[2]["code"] == "bad_message"
    assert reply(engine, 4)[2]["code"] == "bad_message"


@pytest.mark.parametrize(
    "edit",
    [
        {"set": "x" * 300_000, "data": {}},
        {"remove": "n" * 900_000},
        {"put": {"id": "n" * 900_000, "type": "no-such-type"}},
        {"put": {"id": "a", "type": "t" * 900_000}},
        {"connect": wire("y" * 300_000, "z" * 300_000)},
        {"disconnect": wire("y" * 300_000, "z" * 300_000)},
        {"set": 2**70, "data": {}},
        {"set": "n0", "data": {"text": [[[[1]]]]}},
        {"put": [1, 2, 3]},
        {b"set": b"n0"},
        {None: None},
        {"settings": 1.5},
    ],
    ids=lambda edit: str(next(iter(edit)))[:10],
)
def test_a_hostile_edit_is_refused_and_the_engine_goes_on(engine: PortClient, edit: dict[Any, Any]) -> None:
    engine.open(many(2))
    packed = pack(["update", 2, 1, [setting("n0", "new"), edit]])
    for seq, start in enumerate(range(0, len(packed), 262_144)):
        engine.send(["part", 2, seq, start + 262_144 >= len(packed), packed[start : start + 262_144]])

    told = reply(engine, 2)

    assert (told[0], told[2]["code"]) == ("error", "invalid_graph")
    assert len(pack(told)) < 262_144
    assert engine.demand(3, "n0")[3] == {"value": "X"}


def test_a_hundred_thousand_edits_hold_up_nobody(engine: PortClient) -> None:
    engine.open(many(10))
    engine.open(many(1), session=2, req=2)
    edits: list[Any] = [setting(f"n{number % 10}", str(number)) for number in range(60_000)]
    edits += [{"put": {"id": f"p{number % 7}", "type": "shout", "data": {"text": "p"}}} for number in range(20_000)]
    edits += [{"connect": wire("n0", "n1")}, {"disconnect": wire("n0", "n1")}] * 10_000
    packed = pack(["update", 3, 1, edits])
    for seq, start in enumerate(range(0, len(packed), 262_144)):
        engine.send(["part", 3, seq, start + 262_144 >= len(packed), packed[start : start + 262_144]])
    engine.send(["demand_async", 4, 2, "n0", {}])
    engine.answer(4)

    told = reply(engine, 3)[2]

    assert (told["revision"], told["nodes"], told["dirty_count"]) == (2, 17, 17)
    assert engine.demand(5, "n9")[3] == {"value": "59999"}


def test_what_waits_for_an_update_is_cancelled_or_ends_with_its_deadline(engine: PortClient) -> None:
    engine.open(many(LARGE))
    edits = [setting(f"n{number}", "y") for number in range(LARGE)]
    engine.send(
        ["update", 2, 1, edits],
        ["demand_async", 3, 1, "n0", {}],
        ["demand_async", 4, 1, "n0", {"deadline_ms": 0}],
        ["demand_async", 5, 1, "n0", {"window": 1, "deadline_ms": 60_000}],
        ["demand_async", 3, 1, "n0", {}],
        ["cancel", 3],
    )

    assert engine.next("error")[2]["code"] == "duplicate_id"
    assert engine.answer(3)[3]["code"] == "cancelled"
    assert engine.answer(4)[3]["code"] == "deadline_exceeded"
    assert engine.answer(5)[3] == {"value": "Y"}
    ended = [message[1] for message in engine.messages if message[0] in ("demand_error", "demand_complete")]
    assert sorted(ended) == [3, 4, 5]


def test_a_session_that_is_closed_during_an_update_gives_up_what_waits(engine: PortClient) -> None:
    engine.open(many(LARGE))
    edits = [setting(f"n{number}", "y") for number in range(LARGE)]
    engine.send(
        ["update", 2, 1, edits],
        ["update", 3, 1, []],
        ["demand_async", 4, 1, "n0", {}],
        ["close", 5, 1],
        ["close", 6, 1],
    )

    assert reply(engine, 5)[2] is None
    assert engine.answer(4)[3]["code"] == "cancelled"
    assert reply(engine, 6)[2]["code"] == "unknown_session"
    told = {message[1]: message[2]["code"] for message in engine.messages if message[0] == "error"}
    if 2 not in told:
        told[2] = reply(engine, 2)[2]["code"]
    assert told == {2: "cancelled", 3: "cancelled", 6: "unknown_session"}
    engine.ping()


def test_a_killed_engine_takes_its_update_along(engine: PortClient) -> None:
    engine.open(many(LARGE))
    engine.send(["update", 2, 1, [setting(f"n{number}", "y") for number in range(LARGE)]])

    os.kill(engine.pid, signal.SIGKILL)

    assert all(message[1] != 2 for message in engine.rest())


def test_a_watch_tells_the_outputs_of_each_revision_that_concerns_it(engine: PortClient) -> None:
    engine.open(many(2))
    engine.send(["demand_async", 10, 1, "n0", {"watch": True}])
    first = engine.next("node_output")
    assert (first[1:4], first[4]["revision"]) == ([10, "n0", {"value": "X"}], 1)

    engine.send(["update", 2, 1, [setting("n1", "b")]], ["update", 3, 1, [setting("n0", "a" * 300_000)]])
    long = engine.next("node_output")
    assert (long[3], long[4]["revision"]) == ({"value": "A" * 300_000}, 3)
    engine.send(["update", 4, 1, [{"remove": "n0"}]])
    assert engine.next("node_failed")[3]["code"] == "unknown_node"
    engine.send(["demand_async", 10, 1, "n1", {}])
    assert engine.next("error")[2]["code"] == "duplicate_id"

    engine.send(["cancel", 10], ["cancel", 10])
    assert engine.answer(10)[3]["code"] == "cancelled"
    engine.ping()
    assert [message[0] for message in engine.messages if message[1] == 10].count("demand_error") == 1


def test_of_a_watch_that_nobody_reads_the_latest_waits(engine: PortClient) -> None:
    engine.open(many(1))
    # The second one is evaluated after the first, each time.
    engine.send(["demand_async", 10, 1, "n0", {"watch": True, "window": 1}])
    engine.send(["demand_async", 20, 1, "n0", {"watch": True}])
    engine.until(lambda message: message[:2] == ["node_output", 20])
    for req, text in enumerate("abc", 2):
        engine.send(["update", req, 1, [setting("n0", text)]])
        engine.until(lambda message: message[:2] == ["node_output", 20])

    engine.send(["grant", 10, 5], ["close", 9, 1])
    assert engine.answer(10)[3]["code"] == "cancelled"

    values = [message[3]["value"] for message in engine.messages if message[:2] == ["node_output", 10]]
    assert values == ["X", "C"]


def test_an_update_of_a_closed_session_leaves_another_of_its_number_alone(engine: PortClient) -> None:
    long = [setting("n0", "old")] * 1_000
    engine.open(many(1))

    engine.send(
        ["update", 2, 1, long],
        ["close", 3, 1],
        ["open", 4, 1, many(2), {}],
        ["update", 5, 1, [setting("n1", "new")] * 1_000],
    )

    assert reply(engine, 2)[0] == "error"
    assert reply(engine, 5)[2]["nodes"] == 2
    assert engine.demand(6, "n0")[3] == {"value": "X"}
    assert engine.demand(7, "n1")[3] == {"value": "NEW"}
