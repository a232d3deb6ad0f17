"""What the codec refuses, and what it makes of values that are nearly plain. The vectors hold the plain cases."""

from __future__ import annotations

import contextlib
import datetime as dt
import enum
from collections import OrderedDict, namedtuple
from typing import Any

import msgpack
import pytest

from graphport.core.errors import WireError
from graphport.wire import codec

Point = namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Word(str):
    pass


class Vague(dt.tzinfo):
    """A time zone that does not know its distance from UTC."""

    def utcoffset(self, _when: dt.datetime | None) -> None:
        return None

    def dst(self, _when: dt.datetime | None) -> None:
        return None

    def tzname(self, _when: dt.datetime | None) -> str:
        return "vague"


class Hostile(dict[str, int]):
    """Raises something of its own while it is written."""

    def __iter__(self) -> Any:
        raise LookupError("changed while it was read")

    def keys(self) -> Any:
        raise LookupError("changed while it was read")


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class Muted(Hostile):
    def keys(self) -> Any:
        raise Mute


def circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def nested(levels: int, wrap: Any) -> Any:
    value = wrap([])
    for _ in range(levels - 1):
        value = wrap([value])
    return value


UNENCODABLE = {
    "an object": object(),
    "an object deep inside": {"a": [{"b": (object(),)}]},
    "a function": len,
    "a complex number": 1j,
    "a lone surrogate": "\ud800",
    "a lone surrogate as key": {"\ud800": 1},
    "a circle": circle(),
    "a list nested ten thousand times": nested(10_000, list),
    "tuples nested nine times": nested(9, tuple),
    "an integer of more than 4,096 bytes": 1 << (8 * 4096),
    "a negative one": -(1 << (8 * 4096)),
    "a time with a zone": dt.time(12, tzinfo=dt.UTC),
    "a moment before the year 1 in UTC": dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5))),
    "a tuple as key": {(1, 2): 3},
    "a set as key": {frozenset({1}): 3},
    "a big integer as key": {2**64: 3},
    "a date as key": {dt.date(2024, 1, 1): 3},
    "a moment as key": {dt.datetime(2024, 1, 1, tzinfo=dt.UTC): 3},
    "a key deep inside": [{"a": ({(): 1},)}],
    "a set in a set": {frozenset({1})},
    "a set in a tuple in a set": {(1, (frozenset(),))},
    "memory with gaps": memoryview(b"abcd")[::2],
    "a map that raises": Hostile(a=1),
    "a map that raises what has no words": Muted(a=1),
}


@pytest.mark.parametrize("name", UNENCODABLE)
def test_a_value_without_a_form_is_unencodable(name: str) -> None:
    with pytest.raises(WireError) as caught:
        codec.pack(UNENCODABLE[name])

    assert caught.value.code == "unencodable_value"
    assert codec.pack([1]) == b"\x91\x01", "the next value is written as if nothing had been"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (Colour.RED, 1),
        (Word("w"), "w"),
        ({Word("w"): Word("v")}, {"w": "v"}),
        ({Colour.RED: True}, {1: True}),
        (Point(1, 2), (1, 2)),
        (OrderedDict(a=1), {"a": 1}),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        (frozenset({1}), {1}),
        ({(1, ("a",))}, {(1, ("a",))}),
        ({b"k": 1, None: 2, 1.5: 3, True: 4}, {b"k": 1, None: 2, 1.5: 3, True: 4}),
        (dt.datetime(2024, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)),
        ([], []),
        ((), ()),
        (set(), set()),
    ],
)
def test_a_value_that_is_nearly_plain_is_read_as_the_plain_one(value: Any, read: Any) -> None:
    again = codec.unpack(codec.pack(value))

    assert again == read
    assert type(again) is type(read)


def test_a_moment_in_a_zone_that_knows_no_offset_is_taken_as_local_time() -> None:
    moment = dt.datetime(2024, 6, 1, 12, tzinfo=Vague())

    assert codec.unpack(codec.pack(moment)) == moment.replace(tzinfo=None).astimezone(dt.UTC)


def test_a_timestamp_keeps_its_microseconds_on_both_sides_of_1970() -> None:
    for moment in (
        dt.datetime(1969, 12, 31, 23, 59, 58, 500_001, tzinfo=dt.UTC),
        dt.datetime(1, 1, 1, tzinfo=dt.UTC),
        dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC),
    ):
        assert codec.unpack(codec.pack(moment)) == moment


@pytest.mark.parametrize("nesting", [33, 250, 5_000])
def test_extensions_nested_without_end_are_refused_before_the_stack_is_used_up(nesting: int) -> None:
    payload = b"\x90"
    for _ in range(nesting):
        payload = b"\x91" + msgpack.packb(msgpack.ExtType(codec.EXT_TUPLE, payload))

    with pytest.raises(WireError) as caught:
        codec.unpack(payload)

    assert caught.value.code == "bad_frame"


def test_a_value_in_the_middle_of_another_value_does_not_disturb_it() -> None:
    value = [(1, {2}), {"a": ((3,), 2**70)}, "end"]

    assert codec.unpack(codec.pack(value)) == value


def test_lists_as_deep_as_the_protocol_promises_are_written_and_read() -> None:
    deep = nested(500, list)

    assert codec.pack(codec.unpack(codec.pack(deep))) == codec.pack(deep)


def test_a_large_value_leaves_no_large_buffer_behind() -> None:
    for value in ("x" * 5_000_000, ["x" * 5_000_000, object()]):
        packer = codec._packer
        with contextlib.suppress(WireError):
            codec.pack(value)
        assert codec._packer is not packer

    packer = codec._packer
    codec.pack("x" * 100_000)
    assert codec._packer is packer
