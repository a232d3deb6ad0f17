"""The buffer that keeps the end of an output."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from graphport.process.ring_buffer import RingBuffer


@given(st.lists(st.binary(max_size=30)), st.integers(min_value=1, max_value=20))
def test_it_keeps_exactly_the_last_bytes(pieces: list[bytes], limit: int) -> None:
    buffer = RingBuffer(limit)

    for piece in pieces:
        buffer.append(piece)

    assert buffer.text() == b"".join(pieces)[-limit:].decode("utf-8", "replace")
