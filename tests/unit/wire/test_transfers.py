"""Messages that come in parts: put together whole, in order, within bounds; what breaks a rule is given up alone."""

from __future__ import annotations

import errno
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphport.core.errors import GraphportError
from graphport.wire import limits, transfers
from graphport.wire.messages import Part
from graphport.wire.transfers import Transfers


def parts(transfer: int, *pieces: bytes) -> list[Part]:
    return [Part(transfer, seq, seq == len(pieces) - 1, piece) for seq, piece in enumerate(pieces)]


@given(st.lists(st.lists(st.binary(max_size=5), min_size=1, max_size=6), min_size=1, max_size=5), st.randoms())
def test_transfers_between_one_another_come_out_whole(messages: list[list[bytes]], random: object) -> None:
    waiting = [parts(number, *pieces) for number, pieces in enumerate(messages)]
    collected, taken = Transfers(), {}
    while waiting:
        row = random.choice(waiting)  # type: ignore[attr-defined]
        part = row.pop(0)
        whole = collected.take(part)
        assert (whole is not None) == part.last
        if whole is not None:
            taken[part.transfer] = whole
            waiting.remove(row)

    assert taken == {number: b"".join(pieces) for number, pieces in enumerate(messages)}
    assert (len(collected), collected.bytes) == (0, 0)


def test_a_part_out_of_turn_ends_its_transfer_alone() -> None:
    collected: Any = Transfers()
    first, other = parts(1, b"a", b"b", b"c"), parts(2, b"x", b"y")
    collected.take(first[0])
    collected.take(other[0])

    with pytest.raises(GraphportError) as caught:
        collected.take(first[2])

    assert caught.value.code == "bad_message"
    assert collected.take(first[1]) is None
    assert collected.take(first[2]) is None
    assert collected.take(other[1]) == b"xy"


def test_a_first_part_sent_twice_ends_the_transfer() -> None:
    collected = Transfers()
    first = Part(1, 0, last=False, data=b"a")
    collected.take(first)

    with pytest.raises(GraphportError) as caught:
        collected.take(first)

    assert caught.value.code == "bad_message"
    assert len(collected) == 0


def test_a_message_that_is_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "MAX_VALUE_BYTES", 10)
    collected = Transfers()
    assert collected.take(Part(1, 0, last=False, data=b"x" * 6)) is None

    with pytest.raises(GraphportError) as caught:
        collected.take(Part(1, 1, last=True, data=b"x" * 5))

    assert caught.value.code == "too_large"
    assert (len(collected), collected.bytes) == (0, 0)


def test_too_much_altogether_is_refused_to_who_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "MAX_TRANSFER_BYTES", 10)
    collected: Any = Transfers()
    collected.take(Part(1, 0, last=False, data=b"x" * 6))

    with pytest.raises(GraphportError) as caught:
        collected.take(Part(2, 0, last=False, data=b"x" * 5))

    assert caught.value.code == "overloaded"
    assert collected.take(Part(1, 1, last=True, data=b"y")) == b"xxxxxxy"


def test_a_message_for_which_there_is_no_memory_is_given_up_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    collected: Any = Transfers()
    collected.take(Part(1, 0, last=False, data=b"x"))

    def none_left(_size: int) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(transfers, "_mapping", none_left)
    with pytest.raises(GraphportError) as caught:
        collected.take(Part(2, 0, last=False, data=b"x"))

    assert caught.value.code == "overloaded"
    assert collected.take(Part(1, 1, last=True, data=b"y")) == b"xy"
    assert (len(collected), collected.bytes) == (0, 0)


@pytest.mark.parametrize("platform", ["linux", "other"])
def test_a_message_longer_than_its_first_mapping_is_whole(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    pieces = [bytes([number]) * 300_000 for number in range(20)]
    whole: Any
    *taken, whole = map(Transfers().take, parts(1, *pieces))

    assert taken == [None] * 19
    assert whole == b"".join(pieces)


def test_too_many_at_once_are_refused() -> None:
    collected = Transfers()
    for number in range(limits.MAX_TRANSFERS):
        collected.take(Part(number, 0, last=False, data=b""))

    with pytest.raises(GraphportError) as caught:
        collected.take(Part(limits.MAX_TRANSFERS, 0, last=False, data=b""))

    assert caught.value.code == "overloaded"
    assert len(collected) == limits.MAX_TRANSFERS


def test_a_forgotten_transfer_leaves_nothing_and_its_rest_is_ignored() -> None:
    collected = Transfers()
    collected.take(Part(1, 0, last=False, data=b"abc"))

    assert collected.forget(1)
    assert not collected.forget(1)

    assert collected.take(Part(1, 1, last=True, data=b"d")) is None
    assert (len(collected), collected.bytes) == (0, 0)
