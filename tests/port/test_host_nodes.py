"""Nodes that the other side of the pipe runs: called, answered, streamed, cancelled, and answered in wrong ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support.port_client import PortClient

from graphport.wire.codec import pack
from graphport.wire.limits import FIRST_CALL, HOST_WINDOW_CHUNKS, PART_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.port_client import Message


def upcase(**spec: Any) -> dict[str, Any]:
    """What a host declares of a node of one input and one streamed output."""
    return {
        "type": "upcase",
        "inputs": [{"name": "text", "type": "string"}],
        "outputs": [{"name": "text", "type": "string", "stream": True}],
        "effect": "effect",
        "code": "1",
        **spec,
    }


TYPES: Final = [
    upcase(),
    upcase(type="pure-upcase", effect="pure"),
    upcase(type="hasty", timeout_ms=1),
    upcase(type="text-output", outputs=[{"name": "text"}]),
]


def one(kind: str, **data: Any) -> dict[str, Any]:
    return {"nodes": [{"id": "n", "type": kind, "data": data}], "edges": []}


@pytest.fixture
def engine() -> Iterator[PortClient]:
    with PortClient() as client:
        client.hello(host_nodes=TYPES)
        yield client


def called(engine: PortClient, demand: int, kind: str = "upcase", **options: Any) -> int:
    """Open a graph of one node, demand it, and return the number of the call."""
    engine.open(one(kind, text="hi"), session=demand)
    engine.send(["demand_async", demand, demand, "n", options])
    call = engine.next("host_call")
    assert call[2:] == [demand, "n", kind, {"text": "hi"}]
    assert call[1] >= FIRST_CALL
    number: int = call[1]
    return number


def was_cancelled(engine: PortClient, call: int) -> bool:
    """Whether the host is told that a call is over: before or after what else the engine says."""
    told = ["host_cancel", call]
    return told in engine.messages or engine.until(lambda message: message == told) == told


def test_a_call_is_answered_with_the_outputs(engine: PortClient) -> None:
    call = called(engine, 1)
    engine.send(["host_reply", call, True, {"text": "HI"}])
    assert engine.answer(1)[3] == {"text": "HI"}


def test_a_type_of_the_host_takes_the_place_of_a_core_type(engine: PortClient) -> None:
    call = called(engine, 1, "text-output")
    engine.send(["host_reply", call, True, {"text": "theirs"}])
    assert engine.answer(1)[3] == {"text": "theirs"}


def test_types_of_the_host_are_described_and_validated_as_others(engine: PortClient) -> None:
    engine.send(["query", 1, "nodes", {"type": "upcase"}])
    (described,) = engine.next("reply")[2]
    assert described["execution"] == "host"
    assert described["outputs"][0]["stream"] is True

    refused = engine.open(one("upcase", text=7), req=2)

    assert [fault["code"] for fault in refused[2]["details"]["faults"]] == ["invalid_input"]


def test_what_is_no_map_of_the_outputs_fails_the_node(engine: PortClient) -> None:
    answers: list[tuple[bool, Any, str]] = [
        (True, {"text": "HI", "more": 1}, "undeclared_output"),
        (True, {}, "missing_output"),
        (True, [1], "host_node_failed"),
        (True, None, "host_node_failed"),
        (False, {"code": "overloaded", "message": "later"}, "overloaded"),
        (False, {"code": "too_sunny", "message": "sun"}, "host_node_failed"),
        (False, {"message": 7, "code": 7, "traceback": [], "details": "x"}, "host_node_failed"),
        (False, None, "host_node_failed"),
    ]
    for demand, (ok, value, code) in enumerate(answers, 1):
        call = called(engine, demand)

        engine.send(["host_reply", call, ok, value])

        error = engine.answer(demand)[3]
        assert (error["code"], error["node_id"]) == (code, "n")


def test_a_malformed_message_about_a_call_fails_that_call(engine: PortClient) -> None:
    wrong: list[Message] = [["host_reply"], ["host_reply", 1], ["host_stream", 7, "x"], ["host_progress", "x", ""]]
    for demand, (name, *fields) in enumerate(wrong, 1):
        call = called(engine, demand)

        engine.send([name, call, *fields])

        assert engine.answer(demand)[3]["code"] == "bad_message"
        assert was_cancelled(engine, call)


def test_what_is_said_of_unknown_calls_is_ignored(engine: PortClient) -> None:
    call = called(engine, 1)
    for number in (1, call + 1, 2**63 - 1):
        engine.send(["host_reply", number, True, {"text": "no"}], ["host_stream", number, "text", "no"])
        engine.send(["host_progress", number, 0.5, ""])
        engine.send(["part", max(number, call + 1), 0, False, b"no"])
    engine.send(["host_reply", call, True, {"text": "first"}], ["host_reply", call, True, {"text": "second"}])
    engine.ping()
    assert engine.answer(1)[3] == {"text": "first"}
    assert [message[0] for message in engine.messages].count("error") == 0


def test_chunks_are_passed_on_let_through_and_replayed(engine: PortClient) -> None:
    call = called(engine, 1, "pure-upcase", stream=True)
    engine.send(["host_stream", call, "text", "H"])
    assert engine.next("node_stream")[2:] == ["n", "text", "H"]
    assert engine.next("host_more")[1:] == [call, 1]
    engine.send(["host_stream", call, "text", "I"], ["host_reply", call, True, {"text": "HI"}])
    assert engine.answer(1)[3] == {"text": "HI"}

    engine.send(["demand_async", 2, 1, "n", {"stream": True}])

    assert engine.next("node_stream")[4] == "HI"
    assert engine.answer(2)[4]["cached"] is True


def test_a_host_is_let_send_no_more_than_is_taken(engine: PortClient) -> None:
    call = called(engine, 1, stream=True, window=1)
    for number in range(HOST_WINDOW_CHUNKS):
        engine.send(["host_stream", call, "text", {"number": number, "ballast": b"x" * 30_000}])
    engine.ping()
    sent = sum(message[2] for message in engine.messages if message[0] == "host_more")
    assert sent < HOST_WINDOW_CHUNKS

    engine.send(["grant", 1, HOST_WINDOW_CHUNKS])
    while sent < HOST_WINDOW_CHUNKS:
        sent += engine.next("host_more")[2]

    engine.send(["host_reply", call, True, {"text": "done"}])
    assert engine.answer(1)[3] == {"text": "done"}


def test_a_host_that_floods_fails_its_node_as_soon_as_that_goes_on(engine: PortClient) -> None:
    call = called(engine, 1, stream=True, window=1)
    packed = pack(["host_stream", call, "text", b"x" * 300_000])
    for _ in range(2 * HOST_WINDOW_CHUNKS):
        for seq, start in enumerate(range(0, len(packed), PART_BYTES)):
            last = start + PART_BYTES >= len(packed)
            engine.send(["part", call, seq, last, packed[start : start + PART_BYTES]])
    engine.ping()

    engine.send(["grant", 1, HOST_WINDOW_CHUNKS])

    assert engine.answer(1)[3]["code"] == "bad_message"
    assert was_cancelled(engine, call)
    engine.ping()


def test_a_chunk_of_another_port_fails_the_node(engine: PortClient) -> None:
    call = called(engine, 1, stream=True)
    engine.send(["host_stream", call, "picture", "x"])
    assert engine.answer(1)[3]["code"] == "undeclared_output"
    assert was_cancelled(engine, call)


def test_progress_is_told_to_who_wants_events(engine: PortClient) -> None:
    call = called(engine, 1, events=True)
    engine.send(["host_progress", call, 0.5, "half"], ["host_progress", call, 7, "over"])
    told = [engine.until(lambda one: one[0] == "node_event" and one[3]["event"] == "progress")[3] for _ in range(2)]
    assert [(event["fraction"], event["text"]) for event in told] == [(0.5, "half"), (1.0, "over")]
    engine.send(["host_reply", call, True, {"text": ""}])
    engine.answer(1)


def test_the_call_is_cancelled_when_the_last_who_waits_leaves(engine: PortClient) -> None:
    call = called(engine, 1, "pure-upcase")
    engine.send(["demand_async", 2, 1, "n", {}])
    engine.ping()
    engine.send(["cancel", 1])
    assert engine.answer(1)[3]["code"] == "cancelled"
    engine.ping()
    assert not [message for message in engine.messages if message[0] == "host_cancel"]

    engine.send(["cancel", 2])

    assert engine.answer(2)[3]["code"] == "cancelled"
    assert was_cancelled(engine, call)
    engine.send(["host_reply", call, True, {"text": "late"}])
    engine.ping()
    assert len([message for message in engine.messages if message[0] == "host_call"]) == 1


def test_a_limit_and_a_deadline_end_the_call(engine: PortClient) -> None:
    call = called(engine, 1, "hasty")
    assert engine.answer(1)[3]["code"] == "deadline_exceeded"
    assert was_cancelled(engine, call)

    call = called(engine, 2, deadline_ms=1_000)
    assert engine.answer(2)[3]["code"] == "deadline_exceeded"
    assert was_cancelled(engine, call)


def test_long_inputs_and_outputs_travel_in_parts(engine: PortClient) -> None:
    text = "long " * 200_000
    engine.open(one("upcase"))
    engine.send(["demand_async", 1, 1, "n", {"inputs": {"n": {"text": text}}}])
    call = engine.next("host_call")
    assert call[5] == {"text": text}
    packed = pack(["host_reply", call[1], True, {"text": text.upper()}])
    for seq, start in enumerate(range(0, len(packed), PART_BYTES)):
        last = start + PART_BYTES >= len(packed)
        engine.send(["part", call[1], seq, last, packed[start : start + PART_BYTES]])
    assert engine.answer(1)[3] == {"text": text.upper()}


def test_parts_out_of_order_fail_the_call(engine: PortClient) -> None:
    call = called(engine, 1)
    engine.send(["part", call, 0, False, b"x"], ["part", call, 2, False, b"x"])
    assert engine.answer(1)[3]["code"] == "bad_message"
    assert was_cancelled(engine, call)
    engine.ping()


def test_a_failing_reply_lets_go_of_the_parts_before_it(engine: PortClient) -> None:
    call = called(engine, 1)
    engine.send(["part", call, 0, False, b"x" * PART_BYTES])
    engine.send(["host_reply", call, False, {"code": "host_node_failed", "message": "killed"}])
    assert engine.answer(1)[3]["code"] == "host_node_failed"
    engine.ping()


def test_512_calls_wait_at_once_and_are_answered_in_any_order(engine: PortClient) -> None:
    engine.open(one("upcase", text="hi"))
    engine.send(*[["demand_async", demand, 1, "n", {}] for demand in range(512)])
    calls = [engine.next("host_call") for _ in range(512)]
    assert len({call[1] for call in calls}) == 512
    for call in reversed(calls):
        engine.send(["host_reply", call[1], True, {"text": str(call[2])}])
    assert [engine.answer(demand)[3]["text"] for demand in range(512)] == [str(demand) for demand in range(512)]


def test_a_wrong_declaration_ends_the_start() -> None:
    with PortClient() as client:
        client.send(["hello", {"protocol": 1, "client": "tests", "options": {"host_nodes": [{"type": ""}]}}])
        assert client.next("error")[2]["code"] == "invalid_nodes"
        assert client.wait() == 66


def test_a_person_answers_a_node_that_waits(engine: PortClient) -> None:
    engine.open(one("human-input", prompt="Sure?"))
    failed = engine.demand(1, "n")
    assert (failed[3]["code"], failed[3]["details"]) == ("waiting_for_input", {"prompt": "Sure?"})
    engine.send(["demand_async", 2, 1, "n", {"wait": True, "events": True}])
    assert engine.until(lambda told: told[0] == "node_event" and told[3]["event"] == "waiting")[3]["prompt"] == "Sure?"

    engine.send(["decide", 7, 1, "n", "yes"])

    assert engine.answer(2)[3]["value"] == "yes"
    assert ["reply", 7, {"resumed": 1}] in engine.messages
    for session, node, answer, code in (
        (9, "n", 1, "unknown_session"),
        (1, "m", 1, "unknown_node"),
        (1, "n", None, "invalid_input"),
    ):
        engine.send(["decide", 8, session, node, answer])
        assert engine.next("error")[2]["code"] == code
    engine.send(["open", 9, 2, one("human-input"), {"answers": {"n": "kept", "gone": 1}}])
    engine.next("reply")
    assert engine.demand(3, "n", session=2)[3]["value"] == "kept"
