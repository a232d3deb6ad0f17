"""The splitter of server-sent events, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphport.http.sse import MAX_EVENT_BYTES, SseSplitter

STREAM = (
    "data: first\n\n"
    ": a comment\n\n"
    "event: ignored\r\ndata: with carriage return\r\n\r\n"
    "data:no space\n\n"
    "data: two\ndata: lines\n\n"
    "id: 3\n\n"
    "data: äöü 😀\n\n"
    "data: \n\n"
    "data: [DONE]\n\n"
    "data: never finished"
).encode()
EVENTS = [
    b"first",
    b"with carriage return",
    b"no space",
    b"two\nlines",
    "äöü 😀".encode(),
    b"",
    b"[DONE]",
]


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=40))
def test_any_split_of_the_bytes_gives_the_same_events(cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), len(STREAM)]
    splitter = SseSplitter()

    events = [event for start, end in pairwise(borders) for event in splitter.feed(STREAM[start:end])]

    assert events == EVENTS


def test_single_bytes_give_the_same_events() -> None:
    splitter = SseSplitter()

    assert [event for byte in STREAM for event in splitter.feed(bytes([byte]))] == EVENTS


@pytest.mark.parametrize("line_end", [b"", b"\n"])
def test_an_endless_event_is_refused(line_end: bytes) -> None:
    splitter = SseSplitter()
    for _ in range(MAX_EVENT_BYTES // 65_536 - 1):
        assert splitter.feed(b"data: " + b"x" * 65_500 + line_end) == []
    rest = b"data: " + b"x" * 200_000 + line_end

    with pytest.raises(ValueError, match="longer than"):
        splitter.feed(rest)
