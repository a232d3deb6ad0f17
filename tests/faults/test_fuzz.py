"""Whatever bytes come, the decoder raises nothing but `bad_frame`, and takes no memory to speak of.

The seed is printed when a test fails: `GRAPHPORT_FUZZ_SEED=… pytest tests/faults/test_fuzz.py` does the same once more.
"""

from __future__ import annotations

import json
import os
import random
import resource
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.faults.mutations import FRAGMENTS, MUTATIONS, mutated

from graphport.core.errors import CODES, GraphportError, WireError
from graphport.wire.codec import pack
from graphport.wire.framing import FrameSplitter
from graphport.wire.messages import Malformed, Part
from graphport.wire.parse import parse_frame
from graphport.wire.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED: Final = int(os.environ.get("GRAPHPORT_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
FEW: Final = 20_000
MANY: Final = 1_000_000
VECTORS: Final = Path(__file__).parents[1] / "wire" / "vectors"
# Longer vectors are about limits, which have tests of their own.
LONGEST_VECTOR: Final = 4_096
ROOM_BYTES: Final = 512 << 20


def frames() -> list[bytes]:
    """The short frames of the wire vectors, the refused ones too."""
    found = []
    for kind in ("value", "to_engine", "to_beam"):
        rows = json.loads((VECTORS / f"{kind}.json").read_text(encoding="utf-8"))
        found += [bytes.fromhex(row["hex"].replace(" ", "")) for row in rows if "*" not in row["hex"]]
    return [frame for frame in found if len(frame) <= LONGEST_VECTOR]


FRAMES: Final = frames()
# One right message of each name, so that what is nearly right is tried of each of them alike.
MESSAGES: Final = [
    pack(message)
    for message in (
        ["hello", {"protocol": 1, "client": "x", "options": {}}],
        ["open", 1, 1, {"nodes": [], "edges": []}, {}],
        ["close", 1, 1],
        ["demand_async", 1, 1, "n", {"inputs": {"n": {"a": 1}}, "stream": True, "window": 3}],
        ["cancel", 1],
        ["grant", 1, 1],
        ["query", 1, "nodes", {}],
        ["part", 1, 0, False, b"x"],
        ["ping", 1],
        ["credit", 1, 1],
        ["update", 1, 1, [{"set": "n", "data": {"a": 1}}]],
        ["decide", 1, 1, "n", "yes"],
        ["host_reply", 2**62, True, {"a": 1}],
        ["host_stream", 2**62, "p", "x"],
        ["host_progress", 2**62, 0.5, "x"],
        ["hold", 1, True],
    )
]


@contextmanager
def little_memory() -> Iterator[None]:
    """Meanwhile an allocation of what a hostile length promises fails with `MemoryError`."""
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def fuzz(count: int, seed: int) -> Counter[str]:
    """Read so many broken frames; how often each outcome came."""
    draw = random.Random(seed)
    outcomes: Counter[str] = Counter()
    with little_memory():
        for number in range(count):
            if number % 8:
                frame = mutated(draw, FRAMES if number % 4 else MESSAGES)
            else:
                frame = draw.randbytes(int(draw.random() * 64))
            try:
                messages = parse_frame(frame)
            except WireError as error:
                assert error.code == "bad_frame", frame.hex()  # noqa: PT017 - being read is as good
                outcomes["bad_frame"] += 1
            except BaseException as error:
                raise AssertionError(f"{type(error).__name__} of {frame.hex()}, input {number}") from error
            else:
                assert messages, frame.hex()
                for message in messages:
                    outcomes[type(message).__name__] += 1
                    if type(message) is Malformed:
                        assert message.error.code == "bad_message", frame.hex()
                        pack(["error", None, message.error.to_wire()])
    return outcomes


def check(outcomes: Counter[str], count: int) -> None:
    """That the fuzz has been everywhere: a fuzz that is only ever refused has tried nothing."""
    assert outcomes.total() >= count
    assert outcomes["bad_frame"] > count // 20
    assert outcomes["Malformed"] > count // 20
    for kind in ("Hello", "Open", "Close", "DemandAsync", "Cancel", "Grant", "Query", "Part", "Ping", "Credit"):
        assert outcomes[kind], f"no {kind} came through"


def test_there_is_enough_to_start_from() -> None:
    assert len(FRAMES) > 200
    assert len(MUTATIONS) == 11
    assert len(FRAGMENTS) == 18


def test_broken_frames_are_read_or_refused() -> None:
    print(f"GRAPHPORT_FUZZ_SEED={SEED}")  # noqa: T201 - shown when it fails
    check(fuzz(FEW, SEED), FEW)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_broken_frames_are_read_or_refused() -> None:
    print(f"GRAPHPORT_FUZZ_SEED={SEED}")  # noqa: T201 - shown when it fails
    check(fuzz(MANY, SEED + 1), MANY)


def test_a_broken_stream_is_cut_into_frames_or_refused() -> None:
    print(f"GRAPHPORT_FUZZ_SEED={SEED}")  # noqa: T201 - shown when it fails
    draw = random.Random(SEED)
    refused = 0
    with little_memory():
        for _ in range(2_000):
            chosen = [draw.choice(FRAMES) for _ in range(draw.randrange(1, 8))]
            stream = bytearray(b"".join(len(one).to_bytes(4, "big") + one for one in chosen))
            broken = draw.random() < 0.5
            if broken:
                stream[draw.randrange(len(stream))] = draw.randrange(256)
            splitter, payloads = FrameSplitter(), []
            try:
                while stream:
                    size = draw.choice((1, 2, 3, 5, 100, 10_000))
                    payloads += [bytes(each) for each in splitter.feed(bytes(stream[:size]))]
                    del stream[:size]
            except WireError as error:
                assert (error.code, broken) == ("bad_frame", True)  # noqa: PT017 - being read is as good
                refused += 1
            else:
                assert broken or payloads == chosen
    assert refused


def test_parts_at_random_are_put_together_or_refused() -> None:
    print(f"GRAPHPORT_FUZZ_SEED={SEED}")  # noqa: T201 - shown when it fails
    draw = random.Random(SEED)
    transfers, codes = Transfers(), Counter[str]()
    for _ in range(FEW):
        part = Part(
            draw.randrange(8), draw.choice((0, 0, 1, 1, 2, 3, 2**62)), draw.random() < 0.2, b"x" * draw.randrange(9)
        )
        try:
            codes["whole" if transfers.take(part) is not None else "kept"] += 1
        except GraphportError as error:
            codes[error.code] += 1
        if draw.random() < 0.02:
            transfers.forget(draw.randrange(8))
    for number in range(8):
        transfers.forget(number)

    assert set(codes) == {"whole", "kept", "bad_message"} <= {"whole", "kept", *CODES}
    assert (len(transfers), transfers.bytes) == (0, 0)
