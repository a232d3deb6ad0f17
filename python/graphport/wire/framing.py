"""Frames: four bytes of big-endian length, then the payload.

`FrameSplitter` cuts a stream of reads into payloads; `join` makes frames of packed messages, several messages in one
batch frame. Pure. Called by `server.pipe`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from graphport.core.errors import WireError
from graphport.wire.limits import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection

_LENGTH: Final = struct.Struct(">I")
# Payloads of at least this many bytes are given out as views.
_LONG_PAYLOAD: Final = 65_536
# A batch is closed at this size: large enough to amortise the BEAM's work per frame, small enough not to hold it.
BATCH_BYTES: Final = 65_536


class FrameSplitter:
    """Collects reads and gives out whole payloads. Keeps at most one unfinished frame."""

    __slots__ = ("_kept", "_kept_bytes", "_needed_bytes")

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._needed_bytes = 0

    def feed(self, data: bytes) -> list[bytes | memoryview]:
        """Take one read; return the payloads it completes, in order.

        A long payload is a view of what was read, so that it is not copied.

        Raises:
            WireError: `bad_frame` if a length is over `MAX_FRAME_BYTES`. The splitter is of no use after that.
        """
        if self._kept:
            self._kept.append(data)
            self._kept_bytes += len(data)
            if self._kept_bytes < self._needed_bytes:
                return []
            data = b"".join(self._kept)
        elif len(data) == 4 + int.from_bytes(data[:4], "big") <= MAX_FRAME_BYTES:
            return [data[4:]]  # one whole frame: nearly always so
        return self._split(data)

    def _split(self, data: bytes) -> list[bytes | memoryview]:
        position, end, needed = 0, len(data), 4
        payloads: list[bytes | memoryview] = []
        while end - position >= 4:
            (length,) = _LENGTH.unpack_from(data, position)
            if length > MAX_FRAME_BYTES:
                raise WireError(f"a frame of {length} bytes; at most {MAX_FRAME_BYTES} are taken", code="bad_frame")
            needed = 4 + length
            if end - position < needed:
                break
            whole = data if length < _LONG_PAYLOAD else memoryview(data)
            payloads.append(whole[position + 4 : position + needed])
            position += needed
            needed = 4
        self._kept = [data[position:]] if position < end else []
        self._kept_bytes, self._needed_bytes = end - position, needed
        return payloads


def lone(message: bytes) -> bytes:
    """A frame of one packed message."""
    return _LENGTH.pack(len(message)) + message


def join(messages: Collection[bytes]) -> tuple[list[bytes], int]:
    """Frames holding the packed messages in order, as pieces to write, and the sum of payload bytes.

    A lone message is a frame of its own; neighbours share batch frames of about `BATCH_BYTES`.

    Args:
        messages: at least one.
    """
    pieces: list[bytes] = []
    size = sum(map(len, messages))
    if size <= BATCH_BYTES:
        return pieces, _close_batch(pieces, messages, size)
    batch: list[bytes] = []
    batch_bytes = payload_bytes = 0
    for message in messages:
        if batch and batch_bytes + len(message) > BATCH_BYTES:
            payload_bytes += _close_batch(pieces, batch, batch_bytes)
            batch, batch_bytes = [], 0
        batch.append(message)
        batch_bytes += len(message)
    return pieces, payload_bytes + _close_batch(pieces, batch, batch_bytes)


def _close_batch(pieces: list[bytes], batch: Collection[bytes], batch_bytes: int) -> int:
    count = len(batch)
    if count == 1:
        head = b""
    elif count < 16:
        head = bytes((0x90 | count,))
    elif count < 65536:
        head = b"\xdc" + count.to_bytes(2, "big")
    else:
        head = b"\xdd" + count.to_bytes(4, "big")
    length = len(head) + batch_bytes
    pieces.append(_LENGTH.pack(length) + head)
    pieces.extend(batch)
    return length
