"""Sessions, demands and faults, each told to the right one, while the engine goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphport.wire.codec import pack

if TYPE_CHECKING:
    from tests.support.port_client import PortClient


def one(kind: str, **data: Any) -> dict[str, Any]:
    return {"nodes": [{"id": "n", "type": kind, "data": data}], "edges": []}


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (["nonsense", 1], ["error", None]),
        ([], ["error", None]),
        (["open", 7, 1], ["error", 7]),
        (["open", 7, 1, [], {}], ["error", 7]),
        (["close", 7], ["error", 7]),
        (["demand_async", 5, 1, "n", {"x": 1}], ["demand_error", 5, "n"]),
        (["demand_async", 5, 1, None, {}], ["demand_error", 5, ""]),
        (["cancel", "five"], ["error", None]),
        (["credit", 1], ["error", None]),
        (["hello", {"protocol": 1}], ["error", None]),
        (["demand_async", 5, 1.5, "x" * 1_048_000, {}], ["demand_error", 5]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_message_is_told_and_the_engine_goes_on(
    engine: PortClient, message: list[Any], answer: list[Any]
) -> None:
    engine.send(message)

    told = engine.until(lambda one: one[0] in ("error", "demand_error"))

    assert told[: len(answer)] == answer
    assert told[-1]["code"] == "bad_message"
    engine.ping()


def test_what_does_not_exist_is_told(engine: PortClient) -> None:
    engine.open(one("shout", text="hi"))

    assert engine.demand(1, "n", session=9)[3]["code"] == "unknown_session"
    assert engine.demand(2, "m")[3]["code"] == "unknown_node"
    assert engine.demand(3, "m" * 1_048_400)[3]["code"] == "unknown_node"
    engine.send(["close", 5, 9])
    assert engine.next("error")[2]["code"] == "unknown_session"
    engine.send(["cancel", 77])
    engine.ping()


def test_a_session_or_a_demand_of_a_number_in_use_is_refused(engine: PortClient) -> None:
    engine.open(one("sleep-long"))
    engine.send(["demand_async", 1, 1, "n", {}], ["demand_async", 1, 1, "n", {}])

    assert engine.next("error")[2]["code"] == "duplicate_id"
    assert engine.open(one("shout", text=""), req=2)[2]["code"] == "duplicate_id"
    engine.send(["cancel", 1])
    assert engine.answer(1)[3]["code"] == "cancelled"


def test_closing_a_session_answers_its_demands_first(engine: PortClient) -> None:
    engine.open(one("sleep-long"))
    engine.send(["demand_async", 1, 1, "n", {}], ["demand_async", 2, 1, "n", {}], ["close", 9, 1])

    engine.until(lambda message: message == ["reply", 9, None])

    codes = {message[1]: message[3]["code"] for message in engine.messages if message[0] == "demand_error"}
    assert codes == {1: "cancelled", 2: "cancelled"}
    assert engine.open(one("shout", text="x"), req=3)[0] == "reply"


def test_every_fault_of_a_graph_is_told_at_once(engine: PortClient) -> None:
    nodes = [
        {"id": "a", "type": "shout", "data": {"text": "x"}},
        {"id": "a", "type": "shout", "data": {"text": "x"}},
        {"id": "b", "type": "no-such-type", "data": {}},
        {"id": "c", "type": "shout", "data": {}},
        {"id": "d", "type": "shout", "data": {"text": "x"}},
        {"id": "p", "type": "text-output", "data": {}},
        {"id": "q", "type": "text-output", "data": {}},
    ]
    edges = [
        {"source": "d", "source_handle": "nowhere", "target": "p", "target_handle": "text"},
        {"source": "p", "source_handle": "text", "target": "q", "target_handle": "text"},
        {"source": "q", "source_handle": "text", "target": "p", "target_handle": "text"},
    ]

    answer = engine.open({"nodes": nodes, "edges": edges})

    assert (answer[0], answer[2]["code"]) == ("error", "invalid_graph")
    codes = {fault["code"] for fault in answer[2]["details"]["faults"]}
    assert {"duplicate_id", "unknown_type", "missing_input", "dangling_edge", "cycle"} <= codes
    engine.ping()


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("object", "unencodable_value"),
        ("key", "unencodable_value"),
        ("surrogate", "unencodable_value"),
        ("large", "too_large"),
    ],
)
def test_an_answer_that_cannot_travel_names_the_port(engine: PortClient, what: str, code: str) -> None:
    engine.open(one("give", what=what))

    answer = engine.demand(1, "n")

    assert answer[:3] == ["demand_error", 1, "n"]
    assert (answer[3]["code"], answer[3]["node_id"]) == (code, "n")
    assert "bad" in answer[3]["message"]
    assert "fine" not in answer[3]["message"]
    engine.ping()


@pytest.mark.parametrize(("kind", "exception"), [("exits", "SystemExit"), ("long-message", "ValueError")])
def test_a_node_that_raises_is_told_and_the_engine_goes_on(engine: PortClient, kind: str, exception: str) -> None:
    engine.open(one(kind))

    error = engine.demand(1, "n")[3]

    assert (error["code"], error["exception"], error["node_id"]) == ("node_failed", exception, "n")
    engine.ping()


def test_credits_say_what_was_read(engine: PortClient) -> None:
    from graphport.wire.codec import pack

    sent = [["ping", number] for number in range(200)]
    hello = pack(["hello", {"protocol": 1, "client": "tests", "options": {}}])
    engine.send(*sent)
    engine.until(lambda message: message == ["pong", 199])

    credits = [message[1:] for message in engine.messages if message[0] == "credit"]

    assert credits == sorted(credits)
    assert credits[-1] == [201, len(hello) + sum(len(pack(message)) for message in sent)]
    before_pongs = [one[0] for one, two in zip(engine.messages, engine.messages[1:], strict=False) if two[0] == "pong"]
    assert set(before_pongs) == {"credit"}


def test_credits_come_without_a_ping(engine: PortClient) -> None:
    engine.send(*[["cancel", 1]] * 64)
    assert engine.next("credit")[1] >= 64
    engine.send(["cancel", 1], ["demand_async", 1, 1, "x" * 300_000, {}])

    assert engine.next("credit")[2] > 300_000


@pytest.mark.parametrize("kind", ["count", "count-in-thread"])
def test_nothing_of_a_stream_is_lost_while_the_window_is_shut(engine: PortClient, kind: str) -> None:
    engine.open(one(kind, to=700_000 if kind == "count" else 30_000))
    engine.send(["demand_async", 1, 1, "n", {"stream": True}])
    count = 700_000 if kind == "count" else 30_000
    text: list[str] = []
    credited = 0
    while (message := engine.read()) is not None and message[0] != "demand_complete":
        if message[0] == "node_stream":
            text.append(message[4])
        if engine.bytes - credited > 4_000_000:
            credited = engine.bytes
            engine.send(["credit", engine.frames, engine.bytes])

    assert "".join(text) == "".join(f"{number}," for number in range(count))
    assert message is not None
    assert message[3] == {"value": "counted"}


def test_a_cancelled_stream_ends_with_its_last_message(engine: PortClient) -> None:
    engine.open(one("count", to=100_000_000))
    engine.send(["demand_async", 1, 1, "n", {"stream": True}])
    engine.next("node_stream")
    engine.send(["cancel", 1])
    while (message := engine.read()) is not None and message[0] == "node_stream":
        engine.send(["credit", engine.frames, engine.bytes])

    assert message is not None
    assert message[:3] == ["demand_error", 1, "n"]
    assert message[3]["code"] == "cancelled"
    engine.ping()
    after = engine.messages[engine.messages.index(message) + 1 :]
    assert {one[0] for one in after} == {"credit", "pong"}, "nothing of it follows"


def test_a_long_value_comes_and_goes_in_parts_and_others_pass_between(engine: PortClient) -> None:
    engine.open(one("shout", text=""))
    text = "a" * 3_000_000
    packed = pack(["demand_async", 1, 1, "n", {"inputs": {"n": {"text": text}}}])
    for seq, start in enumerate(range(0, len(packed), 262_144)):
        piece = packed[start : start + 262_144]
        engine.send(["part", 1, seq, start + 262_144 >= len(packed), piece], ["ping", seq])
        engine.next("pong")

    assert engine.answer(1)[3] == {"value": text.upper()}


def test_a_cancel_ends_a_transfer_under_way(engine: PortClient) -> None:
    engine.open(one("shout", text=""))
    packed = pack(["demand_async", 1, 1, "n", {"inputs": {"n": {"text": "a" * 300_000}}}])
    engine.send(["part", 1, 0, False, packed[:262_144]], ["cancel", 1])

    assert engine.answer(1)[2:][1]["code"] == "cancelled"
    engine.send(["part", 1, 1, True, packed[262_144:]])
    engine.ping()
    assert engine.demand(2, "n", inputs={"n": {"text": "b"}})[3] == {"value": "B"}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (["ping", 1], "bad_message"),
        (["hello", {"protocol": 1, "client": "x", "options": {}}], "bad_message"),
        (["part", 2, 0, True, b""], "bad_message"),
        ([["cancel", 1], ["cancel", 2]], "bad_message"),
    ],
    ids=["ping", "hello", "part", "batch"],
)
def test_only_long_messages_travel_in_parts(engine: PortClient, message: list[Any], code: str) -> None:
    engine.send(["part", 1, 0, True, pack(message)])

    assert engine.answer(1)[3]["code"] == code
    engine.ping()


def test_parts_that_hold_no_messagepack_end_their_transfer_alone(engine: PortClient) -> None:
    engine.send(["part", 1, 0, True, b"\xc1"])

    assert engine.answer(1)[3]["code"] == "bad_frame"
    engine.ping()


def test_a_window_holds_chunks_back_until_they_are_granted(engine: PortClient) -> None:
    engine.open(one("spell", text="abcdef"))
    engine.send(["demand_async", 1, 1, "n", {"stream": True, "window": 2}], ["ping", 1])
    engine.next("node_stream")
    engine.next("node_stream")
    engine.send(["grant", 99, 1], ["ping", 2])
    engine.until(lambda message: message == ["pong", 2])
    assert [message[0] for message in engine.messages].count("node_stream") == 2
    assert "demand_complete" not in [message[0] for message in engine.messages]

    engine.send(["grant", 1, 10])
    assert engine.answer(1)[3] == {"text": "abcdef"}
    assert "".join(message[4] for message in engine.messages if message[0] == "node_stream") == "abcdef"


def test_events_several_targets_and_queries(engine: PortClient) -> None:
    engine.open(one("shout", text="x"))
    engine.send(["demand_async", 1, 1, ["n"], {"events": True}], ["demand_async", 2, 1, "*", {}])

    assert engine.answer(1)[2:4] == [["n"], {"n": {"value": "X"}}]
    assert engine.answer(2)[2:4] == ["*", {"n": {"value": "X"}}]
    events = [message[2:] for message in engine.messages if message[0] == "node_event"]
    assert [(node, event["event"]) for node, event in events] == [
        ("", "planned"),
        ("n", "started"),
        ("n", "completed"),
    ]
    engine.send(["query", 5, "nodes", {"type": "shout"}], ["query", 6, "weather", {}])
    assert engine.until(lambda message: message[:2] == ["reply", 5])[2][0]["type"] == "shout"
    assert engine.until(lambda message: message[:2] == ["error", 6])[2]["code"] == "bad_message"


def many(count: int, **node: Any) -> dict[str, Any]:
    return {"nodes": [{"id": f"n{number}", **node} for number in range(count)], "edges": []}


def test_a_large_graph_is_loaded_beside_everything_else(engine: PortClient) -> None:
    large = many(20_000, type="shout", data={"text": "x"})
    packed = pack(["open", 1, 1, large, {}])
    for seq, start in enumerate(range(0, len(packed), 262_144)):
        engine.send(["part", 1, seq, start + 262_144 >= len(packed), packed[start : start + 262_144]])
    engine.send(["open", 2, 2, one("shout", text="y"), {}], ["demand_async", 3, 2, "n", {}], ["open", 4, 1, {}, {}])

    assert engine.next("error")[1:][1]["code"] == "duplicate_id"
    assert engine.answer(3)[3] == {"value": "Y"}
    answer = engine.until(lambda message: message[:2] == ["reply", 1])
    assert answer[2]["nodes"] == 20_000
    assert engine.demand(5, "n19999")[3] == {"value": "X"}


def test_a_graph_that_is_closed_while_it_is_loaded_is_given_up(engine: PortClient) -> None:
    engine.send(["open", 1, 1, many(2_000, type="shout", data={"text": "x"}), {}], ["close", 2, 1])

    assert engine.until(lambda message: message[:2] == ["reply", 2])[2] is None
    assert engine.until(lambda message: message[:2] == ["error", 1])[2]["code"] == "cancelled"
    engine.send(["demand_async", 3, 1, "n0", {}])
    assert engine.answer(3)[3]["code"] == "unknown_session"


def test_of_very_many_faults_as_many_are_told_as_fit(engine: PortClient) -> None:
    engine.send(["open", 1, 1, many(3_000, type="no-such-type"), {}])

    error = engine.until(lambda message: message[:2] == ["error", 1])[2]

    assert error["code"] == "invalid_graph"
    assert "3000 faults" in error["message"]
    assert 100 < len(error["details"]["faults"]) < 3_000


def test_a_cancelled_demand_is_answered_once_though_a_part_has_its_number(engine: PortClient) -> None:
    engine.open(one("sleep-long"))
    engine.send(["demand_async", 1, 1, "n", {}], ["part", 1, 0, False, b"x"], ["cancel", 1])
    engine.ping()

    assert [message[1] for message in engine.messages if message[0] == "demand_error"] == [1]
