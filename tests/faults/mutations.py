"""Broken variants of frames, for the fuzz test: bits, lengths, type bytes, pieces of other frames. Seeded, no state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

# Bytes that begin a value, each of them a promise of something: containers, texts, extensions, numbers.
HEADS: Final = bytes(range(0x80, 0xA4)) + bytes(range(0xC0, 0xE0))
# What makes readers reserve memory, recurse, or compare.
FRAGMENTS: Final = (
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdb\x7f\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01",
    b"\x91" * 600,
    b"\x81\xc0" * 600,
    b"\xc7\x02\x02\x91\xc0" * 20,
    b"\xd6\x03\x93\x01\x02\x03",
    b"\xc8\x10\x00\x01" + b"\x7f" * 4_096,
    b"\xc8\x10\x01\x01" + b"\x80" * 4_097,
    b"\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xc7\x0c\xff" + b"\xff" * 12,
    b"\xc7\x1a\x042024-01-01T00:00:00.000000",
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01",
    b"\xa4\xff\xfe\xed\xa0",
    b"\xacdemand_async",
    b"\xa4part",
)


def mutated(draw: random.Random, frames: Sequence[bytes]) -> bytes:
    """One of the frames, changed in one to four ways; one is the most likely, for it leaves most of the frame right."""
    frame = bytearray(draw.choice(frames))
    for _ in range(1 + int(draw.random() ** 3 * 4)):
        MUTATIONS[int(draw.random() * len(MUTATIONS))](draw, frame, frames)
    return bytes(frame)


def _place(draw: random.Random, frame: bytearray) -> int:
    return int(draw.random() * (len(frame) + 1))


def _flip(draw: random.Random, frame: bytearray, _frames: Sequence[bytes]) -> None:
    if frame:
        frame[_place(draw, frame) - 1] ^= 1 << int(draw.random() * 8)


def _byte(draw: random.Random, frame: bytearray, _frames: Sequence[bytes]) -> None:
    if frame:
        frame[_place(draw, frame) - 1] = int(draw.random() * 256)


def _head(draw: random.Random, frame: bytearray, _frames: Sequence[bytes]) -> None:
    if frame:
        frame[_place(draw, frame) - 1] = HEADS[int(draw.random() * len(HEADS))]


def _cut(draw: random.Random, frame: bytearray, _frames: Sequence[bytes]) -> None:
    del frame[_place(draw, frame) :]


def _drop(draw: random.Random, frame: bytearray, _frames: Sequence[bytes]) -> None:
    place = _place(draw, frame)
    del frame[place : place + 1 + int(draw.random() * 8)]


def _double(draw: random.Random, frame: bytearray, _frames: Sequence[bytes]) -> None:
    place = _place(draw, frame)
    frame[place:place] = frame[place : place + 1 + int(draw.random() * 16)]


def _fragment(draw: random.Random, frame: bytearray, _frames: Sequence[bytes]) -> None:
    place = _place(draw, frame)
    frame[place:place] = FRAGMENTS[int(draw.random() * len(FRAGMENTS))]


def _splice(draw: random.Random, frame: bytearray, frames: Sequence[bytes]) -> None:
    other = frames[int(draw.random() * len(frames))]
    frame[_place(draw, frame) :] = other[int(draw.random() * (len(other) + 1)) :]


def _wrap(draw: random.Random, frame: bytearray, _frames: Sequence[bytes]) -> None:
    """Within a list, a batch, a tuple or a set."""
    kind = int(draw.random() * 3)
    if kind == 0:
        frame[0:0] = b"\x91" * (1 + int(draw.random() * 4))
    else:
        payload = b"\x91" + frame
        frame[:] = b"\xc9" + len(payload).to_bytes(4, "big") + bytes((1 + kind,)) + payload


MUTATIONS: Final[tuple[Callable[[random.Random, bytearray, Sequence[bytes]], None], ...]] = (
    _flip,
    _byte,
    _byte,
    _head,
    _head,
    _cut,
    _drop,
    _double,
    _fragment,
    _splice,
    _wrap,
)
