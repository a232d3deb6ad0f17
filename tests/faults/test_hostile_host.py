"""The other side of the pipe does its worst: the engine stays, bounded, or ends in the way the protocol says."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.faults.conftest import FOLDER
from tests.support.port_client import PortClient, framed

from graphport.wire.codec import pack

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB: Final = 1 << 20
HELLO: Final = ["hello", {"protocol": 1, "client": "hostile", "options": {}}]
FLOOD: Final = 100_000


@pytest.fixture
def engine() -> Iterator[PortClient]:
    with PortClient("--nodes", "host_nodes", folder=FOLDER) as client:
        yield client


def one(kind: str, **data: Any) -> dict[str, Any]:
    return {"nodes": [{"id": "n", "type": kind, "data": data}], "edges": []}


def memory(pid: int) -> int:
    """Bytes of resident memory."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def until_idle(pid: int) -> None:
    """Return when the process uses no processor time any more, as one does that is held back."""
    before = None
    while (now := processor_time(pid)) != before:
        before = now
        time.sleep(0.3)


def processor_time(pid: int) -> int:
    """Ticks."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))


def test_one_byte_at_a_time_is_as_good_as_all_at_once(engine: PortClient) -> None:
    graph = one("text-input", text="slow")
    conversation = [HELLO, ["open", 1, 1, graph, {}], ["demand_async", 1, 1, "n", {}]]
    for byte in b"".join(framed(pack(message)) for message in conversation):
        engine.send_raw(bytes((byte,)))

    assert engine.answer(1)[3] == {"text": "slow"}


@pytest.mark.parametrize("greeted", [False, True])
@pytest.mark.parametrize(
    "half",
    [b"\x00", b"\x00\x00\x00", b"\x00\x10\x00\x00", b"\x00\x10\x00\x00" + b"\x91" * 1_000_000],
    ids=["a byte", "half a length", "a length", "nearly all of a frame"],
)
def test_half_a_frame_then_silence_then_the_end_is_an_end(engine: PortClient, half: bytes, greeted: bool) -> None:
    if greeted:
        engine.hello()
        engine.ping()
    engine.send_raw(half)
    engine.close_input()

    left = [message for message in engine.rest() if message[0] != "log"]

    assert not left
    assert engine.wait() == 0


@pytest.mark.parametrize(
    "raw",
    [framed(b""), b"\xff\xff\xff\xff", b"\x00\x10\x00\x01", framed(b"\xc1"), framed(os.urandom(64) + b"\xc1\xc1")],
    ids=["no bytes", "4 GB", "a byte too long", "no MessagePack", "noise"],
)
@pytest.mark.parametrize("greeted", [False, True])
def test_a_frame_that_is_none_ends_the_engine_and_takes_no_memory(
    engine: PortClient, raw: bytes, greeted: bool
) -> None:
    if greeted:
        engine.hello()
    before = memory(engine.pid) if greeted else None
    engine.send_raw(raw)

    errors = [message for message in engine.rest() if message[0] != "log"]

    assert [(error[0], error[1], error[2]["code"]) for error in errors] == [("error", None, "bad_frame")]
    assert engine.wait() == 65
    assert before is None or before < 200 * MIB


@pytest.mark.parametrize(
    "first",
    [
        ["demand_async", 1, 1, "n", {}],
        ["open", 1, 1, {}, {}],
        ["cancel", 1],
        ["part", 1, 0, True, b""],
        [[["ping", 1]]],
    ],
    ids=["demand", "open", "cancel", "part", "batch of a batch"],
)
def test_nothing_is_done_before_hello(engine: PortClient, first: list[Any]) -> None:
    engine.send(first, HELLO)

    errors = [message for message in engine.rest() if message[0] != "log"]

    assert [(error[0], error[1], error[2]["code"]) for error in errors] == [("error", None, "protocol_mismatch")]
    assert engine.wait() == 65


def test_hello_again_and_again_is_told_and_changes_nothing(engine: PortClient) -> None:
    engine.hello()
    engine.open(one("text-input", text="x"))
    engine.send(*[HELLO] * 100)

    assert engine.demand(1, "n")[3] == {"text": "x"}
    codes = [message[2]["code"] for message in engine.messages if message[0] == "error"]
    assert codes == ["bad_message"] * 100


def test_ids_in_any_order_of_any_size_are_answered_once_each(engine: PortClient) -> None:
    engine.hello()
    engine.open(one("text-input", text="x"), session=2**63 - 1, req=2**63 - 1)
    numbers = [0, 2**63 - 1, 5, 4, 3, *range(2**40, 2**40 + 500), *range(900, 400, -1)]
    random.Random(4).shuffle(numbers)
    engine.send([["demand_async", number, 2**63 - 1, "n", {}] for number in numbers])
    for number in numbers:
        engine.answer(number)
    engine.ping()

    answered = [message[1] for message in engine.messages if message[0] == "demand_complete"]
    assert sorted(answered) == sorted(numbers)


def test_cancels_and_grants_of_what_is_not_there_are_nothing(engine: PortClient) -> None:
    engine.hello()
    engine.send(
        [["cancel", number] for number in range(5_000)], [["grant", number, 2**63 - 1] for number in range(5_000)]
    )
    engine.ping()

    assert {message[0] for message in engine.messages} == {"ready", "credit", "pong"}


def test_a_huge_grant_and_a_falling_credit_do_no_harm(engine: PortClient) -> None:
    engine.hello()
    engine.open(one("counts", to=2_000))
    engine.send(["demand_async", 1, 1, "n", {"stream": True, "window": 1}])
    engine.send(["credit", 2**63 - 1, 2**63 - 1], ["credit", 0, 0], ["grant", 1, 2**63 - 1], ["grant", 1, 2**63 - 1])

    assert engine.answer(1)[3] == {"value": 2_000}
    text = "".join(message[4] for message in engine.messages if message[0] == "node_stream")
    assert text == "".join(f"{number} " for number in range(2_000))


def test_a_flood_of_demands_is_answered_each_exactly_once(engine: PortClient) -> None:
    engine.hello()
    engine.open(one("text-input", text="x"))
    engine.demand(FLOOD, "n")  # from now on from the cache, and so before the `pong` of a later `ping`
    seen = bytearray(FLOOD + 1)
    for start in range(0, FLOOD, 5_000):
        engine.send([["demand_async", number, 1, "n", {}] for number in range(start, start + 5_000)])
        engine.ping(start)
        for message in engine.messages:
            if message[0] == "demand_complete":
                seen[message[1]] += 1
        engine.messages.clear()
        engine.send(["credit", engine.frames, engine.bytes])

    assert seen == b"\x01" * (FLOOD + 1)


def test_a_flood_of_waiting_demands_ends_with_their_session(engine: PortClient) -> None:
    engine.hello()
    engine.open(one("waits"))
    for start in range(0, 20_000, 5_000):
        engine.send([["demand_async", number, 1, "n", {}] for number in range(start, start + 5_000)])
        engine.ping(start)
    engine.send(["close", 7, 1])
    engine.until(lambda message: message == ["reply", 7, None])

    ended = [message[1] for message in engine.messages if message[0] == "demand_error"]
    assert sorted(ended) == list(range(20_000))


@pytest.mark.slow
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("kind", ["endless", "endless-in-thread", "endless-bytes", "endless-bytes-in-thread"])
def test_a_host_that_never_reads_costs_bounded_memory(engine: PortClient, kind: str, window: int | None) -> None:
    engine.hello()
    engine.open(one("text-input", text="x"), session=2, req=2)
    engine.open(one(kind))
    engine.demand(2, "n", session=2)
    before = memory(engine.pid)
    engine.send(["demand_async", 1, 1, "n", {"stream": True, "window": window}])

    until_idle(engine.pid)

    assert memory(engine.pid) - before < 64 * MIB
    engine.send(["cancel", 1], ["ping", 9])
    while engine.read() != ["pong", 9]:
        engine.send(["credit", engine.frames, engine.bytes])
    assert engine.answer(1)[3]["code"] == "cancelled"
    engine.ping(10)


def test_the_read_end_closed_in_the_middle_of_an_answer_is_an_end(engine: PortClient) -> None:
    engine.hello()
    engine.open(one("endless-bytes"))
    engine.send(["demand_async", 1, 1, "n", {"stream": True}])
    engine.next("node_stream")
    engine.close_output()

    assert engine.wait() == 0
