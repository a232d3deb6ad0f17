"""Each message to the engine, rightly and wrongly made, and each message from it."""

from __future__ import annotations

from typing import Any

import pytest

from graphport.core.errors import WireError
from graphport.wire import messages
from graphport.wire.codec import pack, unpack
from graphport.wire.messages import (
    Cancel,
    Close,
    Credit,
    DemandAsync,
    Hello,
    Malformed,
    Open,
    Ping,
)
from graphport.wire.parse import parse_frame


def deep_list(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


GOOD: list[tuple[list[Any], messages.Message]] = [
    (["hello", {"protocol": 1, "client": "c", "options": {"a": 1}, "more": 2}], Hello(1, "c", {"a": 1})),
    (["hello", {"protocol": 7}], Hello(7, "", {})),
    (["open", 1, 2, {"nodes": []}, {}], Open(1, 2, {"nodes": []}, {})),
    (["close", 1, 2**63 - 1], Close(1, 2**63 - 1)),
    (["demand_async", 1, 2, "n", {}], DemandAsync(1, 2, "n")),
    (
        [
            "demand_async",
            0,
            0,
            "n",
            {"inputs": {"a": {"p": [1]}}, "deadline_ms": 0, "stream": ["a", "b"], "fresh": True},
        ],
        DemandAsync(0, 0, "n", {"a": {"p": [1]}}, 0, frozenset({"a", "b"}), True),
    ),
    (["demand_async", 1, 2, "n", {"deadline_ms": None, "stream": True}], DemandAsync(1, 2, "n", stream=True)),
    (["cancel", 5], Cancel(5)),
    (["ping", -3], Ping(-3)),
    (["credit", 0, 10], Credit(0, 10)),
]

# A message that is wrong, the request to answer and the demand to answer.
BAD: list[tuple[Any, int | None, tuple[int, str] | None]] = [
    ([], None, None),
    ("ping", None, None),
    (5, None, None),
    (None, None, None),
    ({0: "ping", 1: 5}, None, None),
    (("ping", 5), None, None),
    ([["ping", 1], {0: "ping", 1: 5}], None, None),
    ([["ping", 1], ("ping", 5)], None, None),
    ([["ping", 1], []], None, None),
    (["nonsense", 1], None, None),
    (["x" * 100_000], None, None),
    ([5, 1], None, None),
    ([None], None, None),
    (["hello"], None, None),
    (["hello", []], None, None),
    (["hello", {}], None, None),
    (["hello", {"protocol": True}], None, None),
    (["hello", {"protocol": 1, "client": 5}], None, None),
    (["hello", {"protocol": 1, "options": []}], None, None),
    (["open", 1, 2, {}], 1, None),
    (["open", 1, 2, {}, {}, 5], 1, None),
    (["open", 1, -2, {}, {}], 1, None),
    (["open", 1, 2, [], {}], 1, None),
    (["open", 1, 2, {}, []], 1, None),
    (["open", 1, 2, {}, {"x": 1}], 1, None),
    (["open", "1", 2, {}, {}], None, None),
    (["close", 1], 1, None),
    (["close", 2**63, 1], None, None),
    (["close", True, 1], None, None),
    (["demand_async", 7], None, (7, "")),
    (["demand_async", 7, 1, "n"], None, (7, "n")),
    (["demand_async", 7, 1, 5, {}], None, (7, "")),
    (["demand_async", 7, 1.0, "n", {}], None, (7, "n")),
    (["demand_async", -1, 1, "n", {}], None, None),
    (["demand_async", 7, 1, "n", []], None, (7, "n")),
    (["demand_async", 7, 1, "n", {"priority": 1}], None, (7, "n")),
    (["demand_async", 7, 1, "n", {5: 1}], None, (7, "n")),
    (["demand_async", 7, 1, "n", {"inputs": []}], None, (7, "n")),
    (["demand_async", 7, 1, "n", {"inputs": {"a": 5}}], None, (7, "n")),
    (["demand_async", 7, 1, "n", {"inputs": {5: {}}}], None, (7, "n")),
    (["demand_async", 7, 1, "n", {"inputs": {"a": {5: 1}}}], None, (7, "n")),
    (["demand_async", 7, 1, "n", {"inputs": {"x" * 100_000: 1}}], None, (7, "n")),
    (["demand_async", 7, 1, "n", {"deadline_ms": -1}], None, (7, "n")),
    (["demand_async", 7, 1, "n", {"deadline_ms": 1.5}], None, (7, "n")),
    (["demand_async", 7, 1, "n", {"stream": 1}], None, (7, "n")),
    (["demand_async", 7, 1, "n", {"stream": [1]}], None, (7, "n")),
    (["demand_async", 7, 1, "n", {"stream": None}], None, (7, "n")),
    (["demand_async", 7, 1, "n", {"fresh": 1}], None, (7, "n")),
    (["cancel"], None, None),
    (["cancel", None], None, None),
    (["cancel", 2**30_000], None, None),
    (["ping", "a"], None, None),
    (["ping", deep_list(480)], None, None),
    (["credit", 1], None, None),
    (["credit", -1, 1], None, None),
]


@pytest.mark.parametrize(("wire", "message"), GOOD, ids=lambda value: str(value)[:40])
def test_a_good_message_is_taken(wire: list[Any], message: messages.Message) -> None:
    assert parse_frame(pack(wire)) == [message]


@pytest.mark.parametrize(("wire", "req", "demand"), BAD, ids=lambda value: str(type(value).__name__))
def test_a_wrong_message_is_bad_and_says_whom_to_tell(
    wire: Any, req: int | None, demand: tuple[int, str] | None
) -> None:
    (fault,) = [message for message in parse_frame(pack(wire)) if not isinstance(message, Ping)]

    assert isinstance(fault, Malformed)
    assert fault.error.code == "bad_message"
    assert (fault.req, fault.demand) == (req, demand)
    assert 10 < len(fault.error.message) < 400


def test_wrong_messages_in_a_batch_leave_the_others_alone() -> None:
    parsed = parse_frame(pack([["ping", 1], ["ping"], 5, ["ping", 2]]))

    assert [type(message) for message in parsed] == [Ping, Malformed, Malformed, Ping]


def test_a_batch_keeps_its_order() -> None:
    wire = [message for message, _ in GOOD]

    assert parse_frame(pack(wire)) == [message for _, message in GOOD]


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x91", b"\x90\x90", b"\xa1\xff", b"\xc7\x00\x63"])
def test_a_payload_that_is_no_messagepack_value_is_a_bad_frame(payload: bytes) -> None:
    with pytest.raises(WireError) as caught:
        parse_frame(payload)

    assert caught.value.code == "bad_frame"


def test_messages_from_the_engine_have_the_form_that_the_protocol_says() -> None:
    assert [
        unpack(packed)
        for packed in (
            messages.ready({"protocol": 1}),
            messages.reply(1, None),
            messages.error(None, {"code": "c"}),
            messages.demand_complete(1, "n", {"p": 1}, {"ran": 0}),
            messages.demand_error(1, "n", {"code": "c"}),
            messages.node_stream(1, "n", "p", "x"),
            messages.credit(1, 2),
            messages.log("info", "l", "t", {}),
            messages.pong(1),
        )
    ] == [
        ["ready", {"protocol": 1}],
        ["reply", 1, None],
        ["error", None, {"code": "c"}],
        ["demand_complete", 1, "n", {"p": 1}, {"ran": 0}],
        ["demand_error", 1, "n", {"code": "c"}],
        ["node_stream", 1, "n", "p", "x"],
        ["credit", 1, 2],
        ["log", "info", "l", "t", {}],
        ["pong", 1],
    ]
