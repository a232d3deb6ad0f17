"""Frames are cut from any stream of reads, and joined from any row of messages."""

from __future__ import annotations

import pytest

from graphport.core.errors import WireError
from graphport.wire.codec import pack, unpack
from graphport.wire.framing import BATCH_BYTES, FrameSplitter, join
from graphport.wire.limits import MAX_FRAME_BYTES


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


def test_a_read_may_hold_several_frames_and_the_beginning_of_another() -> None:
    splitter = FrameSplitter()

    assert splitter.feed(framed(b"one") + framed(b"") + framed(b"three")[:5]) == [b"one", b""]
    assert splitter.feed(framed(b"three")[5:]) == [b"three"]


def test_a_frame_may_come_byte_by_byte() -> None:
    splitter = FrameSplitter()
    data = framed(b"abc") + framed(b"d")

    payloads = [payload for byte in data for payload in splitter.feed(bytes((byte,)))]

    assert payloads == [b"abc", b"d"]


def test_the_largest_frame_is_taken() -> None:
    payload = bytes(MAX_FRAME_BYTES)

    assert FrameSplitter().feed(framed(payload)) == [payload]


@pytest.mark.parametrize("length", [MAX_FRAME_BYTES + 1, 2**32 - 1])
def test_a_length_over_the_limit_is_a_bad_frame_before_its_bytes_have_come(length: int) -> None:
    with pytest.raises(WireError) as caught:
        FrameSplitter().feed(length.to_bytes(4, "big"))

    assert caught.value.code == "bad_frame"


def test_a_lone_message_is_a_frame_of_its_own() -> None:
    message = pack(["pong", 1])

    pieces, size = join([message])

    assert b"".join(pieces) == framed(message)
    assert size == len(message)


@pytest.mark.parametrize("count", [2, 15, 16, 17, 70_000])
def test_neighbours_share_batch_frames(count: int) -> None:
    messages = [pack(["pong", 1])] * count

    pieces, size = join(messages)

    payloads = FrameSplitter().feed(b"".join(pieces))
    assert [message for payload in payloads for message in unpack(payload)] == [["pong", 1]] * count
    assert size == sum(map(len, payloads))
    assert max(map(len, payloads)) <= BATCH_BYTES + 5
    assert len(payloads) <= count * len(messages[0]) // BATCH_BYTES + 1


def test_a_large_message_between_small_ones_keeps_its_place() -> None:
    large = ["reply", 1, "x" * (MAX_FRAME_BYTES - 100)]

    messages = [pack(["pong", 1]), pack(large), pack(["pong", 2])]
    pieces, _ = join(messages)

    payloads = FrameSplitter().feed(b"".join(pieces))
    assert [unpack(payload) for payload in payloads] == [["pong", 1], large, ["pong", 2]]
