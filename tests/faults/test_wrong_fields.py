"""Every field of every message with values of every wrong type: `bad_message` to the right one, the engine goes on."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.conftest import SharedEngine

GRAPH: Final[dict[str, Any]] = {"nodes": [], "edges": []}
# A right message of each name but `hello`, which comes once, and the kinds of its fields.
MESSAGES: Final[dict[str, tuple[list[Any], list[str]]]] = {
    "open": (["open", 1, 900, GRAPH, {}], ["id", "id", "map", "no options"]),
    "close": (["close", 1, 901], ["id", "id"]),
    "demand_async": (["demand_async", 1, 901, "n", {}], ["id", "id", "target", "map"]),
    "cancel": (["cancel", 1], ["id"]),
    "grant": (["grant", 1, 1], ["id", "count"]),
    "query": (["query", 1, "nodes", {}], ["id", "text", "map"]),
    "part": (["part", 1, 0, False, b"x"], ["id", "id", "flag", "bytes"]),
    "ping": (["ping", 1], ["integer"]),
    "credit": (["credit", 1, 1], ["id", "id"]),
    "update": (["update", 1, 901, []], ["id", "id", "list"]),
    "decide": (["decide", 1, 901, "n", 1], ["id", "id", "text", "any"]),
    "host_reply": (["host_reply", 1, True, {}], ["id", "flag", "any"]),
    "host_stream": (["host_stream", 1, "p", "x"], ["id", "text", "any"]),
    "host_progress": (["host_progress", 1, 0.5, "x"], ["id", "number or nil", "text"]),
    "hold": (["hold", 1, True], ["id", "flag"]),
}
OPTIONS: Final = {
    "inputs": "map",
    "deadline_ms": "id or nil",
    "stream": "flag or list",
    "fresh": "flag",
    "events": "flag",
    "window": "count or nil",
    "trace": "flag",
    "provenance": "flag or map",
    "watch": "flag",
    "wait": "flag",
}
VALUES: Final[dict[str, Any]] = {
    "nil": None,
    "flag": True,
    "negative": -1,
    "zero": 0,
    "huge": 1 << 63,
    "largest": (1 << 64) - 1,
    "beyond 64 bit": 1 << 4_000,
    "float": 1.0,
    "NaN": float("nan"),
    "text": "x",
    "long text": "x" * 100_000,
    "bytes": b"x",
    "list": [],
    "list of lists": [[[]]],
    "map": {},
    "map of odd keys": {None: 1, 1.5: 2, True: 3},
    "tuple": (1, 2),
    "set": {1, 2},
    "date": dt.date(2000, 1, 1),
    "moment": dt.datetime(2000, 1, 1, tzinfo=dt.UTC),
}
IDS: Final = {"zero"}
# Messages whose first field says whom to tell.
ANSWERED: Final = {"open", "close", "query", "part", "update", "decide"}
RIGHT: Final = {
    "id": IDS,
    "id or nil": IDS | {"nil"},
    "integer": {"negative", "zero", "huge", "largest", "beyond 64 bit"},
    "count": set[str](),
    "count or nil": {"nil"},
    "text": {"text", "long text"},
    "target": {"text", "long text"},
    "flag": {"flag"},
    "flag or list": {"flag", "list"},
    "bytes": {"bytes"},
    "map": {"map", "map of odd keys"},
    "no options": {"map"},
    "list": {"list", "list of lists"},
    "any": set(VALUES),
    "number or nil": {"nil", "negative", "zero", "huge", "largest", "beyond 64 bit", "float", "NaN"},
    "flag or map": {"flag", "map", "map of odd keys"},
}


def wrong() -> Iterator[tuple[str, list[Any]]]:
    """Each wrong message with a name that says what is wrong with it."""
    for name, (right, kinds) in MESSAGES.items():
        assert len(right) == len(kinds) + 1
        yield f"{name} without its last field", right[:-1]
        yield f"{name} without fields", right[:1]
        yield f"{name} with a field too many", [*right, None]
        for place, kind in enumerate(kinds, 1):
            for label, value in VALUES.items():
                if label not in RIGHT[kind]:
                    yield f"{name} field {place}: {label}", [*right[:place], value, *right[place + 1 :]]
    yield from wrong_options()


def wrong_options() -> Iterator[tuple[str, list[Any]]]:
    """The same for what a demand says in maps and lists."""
    for option, kind in OPTIONS.items():
        for label, value in VALUES.items():
            if label not in RIGHT[kind]:
                yield f"option {option}: {label}", ["demand_async", 1, 901, "n", {option: value}]
    for label, value in VALUES.items():
        yield f"unknown option {label}", ["demand_async", 1, 901, "n", {"window": 1, f"x{label}": value}]
        yield f"the name is {label}", [value, 1, 2]
    for label, inputs in {"port": {"n": {1: 2}}, "ports": {"n": []}, "node": {1: {}}}.items():
        yield f"inputs: {label}", ["demand_async", 1, 901, "n", {"inputs": inputs}]
    many = [str(number) for number in range(1_001)]
    for label, node in {"none": [], "twice": ["a", "a"], "number": ["a", 1], "many": many}.items():
        yield f"nodes: {label}", ["demand_async", 1, 901, node, {}]


WRONG: Final = dict(wrong())
# A list as a message's first element makes the frame a batch, of one message `[]` here; handled below.
BATCHES: Final = {name for name, message in WRONG.items() if isinstance(message[0], list)}


def test_every_kind_of_field_is_tried() -> None:
    assert len(WRONG) > 500
    assert {kind for _, kinds in MESSAGES.values() for kind in kinds} | set(OPTIONS.values()) == set(RIGHT)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_right_message_is_no_bad_message(shared: SharedEngine, name: str) -> None:
    engine = shared.engine
    engine.messages.clear()
    engine.send(MESSAGES[name][0])
    engine.ping(10)

    codes = {message[-1]["code"] for message in engine.messages if message[0] in ("error", "demand_error")}
    assert "bad_message" not in codes
    engine.send(["close", 2, 900], ["cancel", 1])
    engine.ping(11)


def test_every_wrong_message_is_told_and_the_engine_goes_on(shared: SharedEngine) -> None:
    engine = shared.engine
    for number, (name, message) in enumerate(WRONG.items()):
        engine.messages.clear()
        engine.send(message, ["ping", number])
        engine.until(lambda one, number=number: one == ["pong", number])  # type: ignore[misc]

        told = [one for one in engine.messages if one[0] not in ("credit", "pong", "log")]
        assert told, name
        assert {one[-1]["code"] for one in told} == {"bad_message"}, (name, told)
        assert len(told) == (len(message) if name in BATCHES else 1), name
        if message[0] == "demand_async" and len(message) > 1 and is_id(message[1]):
            assert told[0][:2] == ["demand_error", message[1]], name
        elif str(message[0]) in ANSWERED and len(message) > 1 and is_id(message[1]):
            assert told[0][:2] == ["error", message[1]], name
        else:
            assert told[0][:2] == ["error", None], name
        if number % 64 == 0:
            engine.send(["credit", engine.frames, engine.bytes])


def is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63
