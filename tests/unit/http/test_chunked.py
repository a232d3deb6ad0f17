"""The chunked transfer coding, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphport.http.chunked import ChunkedDecoder


@given(
    st.lists(st.binary(min_size=1, max_size=50), max_size=8),
    st.lists(st.integers(min_value=0, max_value=600), max_size=30),
)
def test_any_split_of_the_bytes_gives_the_same_content(parts: list[bytes], cuts: list[int]) -> None:
    coded = b"".join(b"%X;ext=1\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    borders = [0, *sorted(min(cut, len(coded)) for cut in cuts), len(coded)]
    decoder = ChunkedDecoder()

    content = b"".join(decoder.feed(coded[start:end]) for start, end in pairwise(borders))

    assert content == b"".join(parts)
    assert decoder.done


def test_a_body_without_its_last_chunk_is_not_done() -> None:
    decoder = ChunkedDecoder()

    assert decoder.feed(b"3\r\nabc\r\n") == b"abc"
    assert not decoder.done


@pytest.mark.parametrize("bad", [b"xyz\r\n", b"-5\r\nabcde", b"1" * 5000])
def test_a_bad_size_line_is_refused(bad: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        ChunkedDecoder().feed(bad)
