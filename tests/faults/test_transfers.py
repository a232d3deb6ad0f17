"""Parts that come as they should not: the transfer ends with its one answer, others and the engine go on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.faults.conftest import FOLDER
from tests.support.port_client import PortClient

from graphport.wire.codec import pack
from graphport.wire.limits import MAX_TRANSFER_BYTES, MAX_TRANSFERS, MAX_VALUE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE: Final = bytes(262_144)
LARGE_PIECE: Final = bytes(1_000_000)
MIB: Final = 1 << 20


@pytest.fixture
def engine() -> Iterator[PortClient]:
    with PortClient("--nodes", "host_nodes", folder=FOLDER) as client:
        client.hello()
        client.open({"nodes": [{"id": "n", "type": "text-input", "data": {"text": "x"}}], "edges": []})
        yield client


def long_demand(number: int, text: str) -> list[bytes]:
    """The pieces of a demand for the text's own length in kilobytes."""
    packed = pack(["demand_async", number, 1, "n", {"inputs": {"n": {"text": text * 300_000}}}])
    return [packed[start : start + 100_000] for start in range(0, len(packed), 100_000)]


def parts(number: int, pieces: list[bytes]) -> list[list[Any]]:
    return [["part", number, seq, seq == len(pieces) - 1, piece] for seq, piece in enumerate(pieces)]


def codes(engine: PortClient) -> dict[int, list[str]]:
    """Per number the codes it was told, `complete` among them."""
    told: dict[int, list[str]] = {}
    for message in engine.messages:
        if message[0] in ("demand_complete", "demand_error"):
            told.setdefault(message[1], []).append(
                "complete" if message[0] == "demand_complete" else message[3]["code"]
            )
    return told


def test_two_transfers_interleaved_both_arrive(engine: PortClient) -> None:
    one, two = parts(1, long_demand(1, "a")), parts(2, long_demand(2, "b"))
    for pair in zip(one, two, strict=True):
        engine.send(*pair)

    assert engine.answer(1)[3] == {"text": "a" * 300_000}
    assert engine.answer(2)[3] == {"text": "b" * 300_000}


@pytest.mark.parametrize("order", ["backwards", "swapped", "doubled", "with a gap"])
def test_parts_out_of_order_end_their_transfer_once(engine: PortClient, order: str) -> None:
    right = parts(1, long_demand(1, "a"))
    sent = {
        "backwards": [right[0], *right[:0:-1]],
        "swapped": [right[0], right[2], right[1], *right[3:]],
        "doubled": [right[0], right[1], right[1], *right[2:]],
        "with a gap": [right[0], *right[2:]],
    }[order]
    engine.send(*sent, *parts(2, long_demand(2, "b")))

    assert engine.answer(2)[3] == {"text": "b" * 300_000}
    assert codes(engine) == {1: ["bad_message"], 2: ["complete"]}


def test_a_transfer_that_never_ends_holds_nobody_up(engine: PortClient) -> None:
    engine.send(*parts(1, long_demand(1, "a"))[:-1])

    assert engine.demand(2, "n")[3] == {"text": "x"}
    engine.send(["cancel", 1])
    assert engine.answer(1)[3]["code"] == "cancelled"
    engine.send(["cancel", 1], ["part", 1, 3, True, b""])
    engine.ping()
    assert codes(engine) == {1: ["cancelled"], 2: ["complete"]}


def test_a_demand_of_the_number_of_a_transfer_under_way_is_answered(engine: PortClient) -> None:
    engine.send(["part", 1, 0, False, b"x"])

    assert engine.demand(1, "n")[3] == {"text": "x"}
    engine.send(["cancel", 1])
    engine.ping()


def test_more_transfers_than_allowed_are_refused_and_the_others_kept(engine: PortClient) -> None:
    engine.send(*[["part", number, 0, False, b"x"] for number in range(10, 10 + MAX_TRANSFERS)])
    engine.send(["part", 5, 0, False, b"x"])
    assert engine.answer(5)[3]["code"] == "overloaded"

    engine.send(*[["cancel", number] for number in range(10, 10 + MAX_TRANSFERS)])
    engine.ping()

    assert codes(engine) == {5: ["overloaded"]} | {n: ["cancelled"] for n in range(10, 10 + MAX_TRANSFERS)}
    engine.send(*parts(6, long_demand(6, "a")))
    assert engine.answer(6)[3] == {"text": "a" * 300_000}


@pytest.mark.slow
def test_a_transfer_over_the_largest_value_is_given_up_and_its_memory_back(engine: PortClient) -> None:
    before = memory(engine.pid)
    for seq in range(MAX_VALUE_BYTES // len(LARGE_PIECE) + 2):
        engine.send(["part", 1, seq, False, LARGE_PIECE])

    assert engine.answer(1)[3]["code"] == "too_large"
    engine.ping()
    assert memory(engine.pid) - before < 64 * MIB
    assert codes(engine) == {1: ["too_large"]}


@pytest.mark.slow
def test_all_transfers_together_are_bounded(engine: PortClient) -> None:
    each = 200 * len(LARGE_PIECE)
    for number in range(1, MAX_TRANSFER_BYTES // each + 2):
        for seq in range(200):
            engine.send(["part", number, seq, False, LARGE_PIECE])
            if seq % 50 == 0:
                engine.ping(seq)
    last = MAX_TRANSFER_BYTES // each + 1

    assert engine.answer(last)[3]["code"] == "overloaded"
    assert codes(engine) == {last: ["overloaded"]}
    assert memory(engine.pid) < MAX_TRANSFER_BYTES + 256 * MIB
    engine.send(*[["cancel", number] for number in range(1, last)])
    engine.ping(1_000)
    assert memory(engine.pid) < 256 * MIB


def memory(pid: int) -> int:
    """Bytes of resident memory."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
