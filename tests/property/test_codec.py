"""Whatever can be written is read again as it was; whatever comes, reading it raises nothing but `bad_frame`."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from graphport.core.errors import WireError
from graphport.wire.codec import pack, unpack
from graphport.wire.framing import FrameSplitter, join
from graphport.wire.parse import parse_frame

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
small_ints = st.integers(-(2**63), 2**64 - 1)
scalars = (
    st.none()
    | st.booleans()
    | small_ints
    | st.integers(-(2**2000), 2**2000)
    | st.floats()
    | text
    | st.binary(max_size=40)
    | st.datetimes()
    | st.datetimes(timezones=st.just(dt.UTC))
    | st.dates()
    | st.times()
)
keys = text | small_ints | st.floats(allow_nan=False) | st.booleans() | st.none() | st.binary(max_size=10)
members = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)
values = st.recursive(
    scalars | st.sets(members, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=5) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=5)
    ),
    max_leaves=25,
).filter(lambda value: ext_depth(value) <= 8)


def ext_depth(value: Any) -> int:
    """Levels of tuples and sets within one another; more than eight are not written."""
    if isinstance(value, dict):
        return max(map(ext_depth, value.values()), default=0)
    if isinstance(value, list | tuple | set):
        return max(map(ext_depth, value), default=0) + (not isinstance(value, list))
    return 0


def same(left: Any, right: Any) -> bool:
    """Equal with equal types all the way down; NaN equals itself and -0.0 is not 0.0."""
    if left.__class__ is not right.__class__:
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or left.hex() == right.hex()
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return len(left) == len(right) and all(key in right and same(left[key], right[key]) for key in left)
    if isinstance(left, set):
        return len(left) == len(right) and all(any(same(one, other) for other in right) for one in left)
    return bool(left == right)


@given(values)
def test_a_value_is_read_as_it_was_written(value: Any) -> None:
    assert same(unpack(pack(value)), value)


@given(values, st.data())
def test_a_frame_that_was_tampered_with_is_read_or_refused(value: Any, data: st.DataObject) -> None:
    frame = bytearray(pack(value))
    for place in data.draw(st.lists(st.integers(0, len(frame) - 1), max_size=4)):
        frame[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(frame)))

    for hostile in (bytes(frame), bytes(frame[:cut]), bytes(frame) + b"\x00"):
        _read_or_refuse(hostile)


@given(st.binary(max_size=200))
@example(b"\xdf\xff\xff\xff\xff")
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xc9\x00\x00\x00\x01\x02\x90")
@example(b"\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff")
@example(b"\xc7\x0c\xff" + b"\xff" * 12)
@example(b"\xc7\x03\x05\xff\xfe\xfd")
def test_hostile_bytes_are_read_or_refused(hostile: bytes) -> None:
    _read_or_refuse(hostile)


def _read_or_refuse(hostile: bytes) -> None:
    try:
        parse_frame(hostile)
    except WireError as error:
        assert error.code == "bad_frame"  # noqa: PT017 - being read is as good


@given(st.lists(values, min_size=1, max_size=8), st.data())
def test_messages_survive_joining_and_any_cut_of_the_stream(rows: list[Any], data: st.DataObject) -> None:
    written = [["reply", number, value] for number, value in enumerate(rows)]
    packed = [pack(message) for message in written]
    pieces, size = join(packed)
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))

    splitter, payloads = FrameSplitter(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        payloads += splitter.feed(stream[start:end])

    assert size == sum(map(len, payloads))
    frames = [unpack(payload) for payload in payloads]
    read = [message for frame in frames for message in ([frame] if isinstance(frame[0], str) else frame)]
    assert same(read, written)
