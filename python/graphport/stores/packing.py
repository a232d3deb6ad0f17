"""A node's result as bytes, and back: the wire's codec behind a check sum. Reading runs no code.

Only what is read as exactly the same is packed: a node that reads a stored value must not be able to tell. Called by
the stores, on the event loop's thread, because the codec is not thread-safe.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from xxhash import xxh3_128_digest

from graphport.contracts.cache_store import MAX_ENTRY_BYTES, StoredResult
from graphport.core.errors import WireError
from graphport.wire.codec import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a stored result begins with. Another layout gets another number, and is then not read as this one.
_MAGIC: Final = b"gpr1"
_HEAD_BYTES: Final = len(_MAGIC) + 16
# A value of more parts, or more lists and maps, is not stored: looking at them would hold up the event loop. Values in
# which the same list occurs again and again have very many.
_MAX_PARTS: Final = 2_000_000
_MAX_CONTAINERS: Final = 50_000
# How long the loop is held at a time.
_TURN_S: Final = 0.002
_FLAT: Final = frozenset({int, float, bool, type(None), dt.date})
_ITEMS: Final = frozenset({list, tuple, set})


def packed(result: StoredResult, limit_bytes: int) -> bytes | None:
    """The result as bytes; None if it cannot be read as the same again, or takes more than `limit_bytes`."""
    limit_bytes = min(limit_bytes, MAX_ENTRY_BYTES)
    chunks = None if result.chunks is None else [[port, chunk] for port, chunk in result.chunks]
    if not _is_exact([result.outputs, chunks], limit_bytes):
        return None
    try:
        body = pack([result.outputs, chunks, result.node_type, float(result.created_s)])
    except WireError:
        return None
    frame = b"".join((_MAGIC, xxh3_128_digest(body), body))
    return frame if len(frame) <= limit_bytes else None


def unpacked(frame: bytes) -> StoredResult | None:
    """The result that `packed` made these bytes of; None if they are not whole."""
    body = memoryview(frame)[_HEAD_BYTES:]
    if frame[: len(_MAGIC)] != _MAGIC or frame[len(_MAGIC) : _HEAD_BYTES] != xxh3_128_digest(body):
        return None
    try:
        outputs, chunks, node_type, created_s = unpack(body)
        pairs = None if chunks is None else [(port, chunk) for port, chunk in chunks]
    except (WireError, ValueError, TypeError):
        return None
    return StoredResult(outputs=outputs, chunks=pairs, node_type=node_type, created_s=created_s, size_bytes=len(frame))


async def packed_in_turns(results: Mapping[bytes, StoredResult], limit_bytes: int) -> tuple[dict[bytes, bytes], int]:
    """Pack many, letting the loop go on between them; returns them by key, and how many had to be left out."""
    frames: dict[bytes, bytes] = {}
    refused = 0
    until = perf_counter() + _TURN_S
    for key, result in results.items():
        frame = packed(result, limit_bytes)
        if frame is None:
            refused += 1
        else:
            frames[key] = frame
        if perf_counter() >= until:
            await asyncio.sleep(0)
            until = perf_counter() + _TURN_S
    return frames, refused


async def unpacked_in_turns(frames: Mapping[bytes, bytes]) -> tuple[dict[bytes, StoredResult], list[bytes]]:
    """Unpack many, letting the loop go on between them; returns them by key, and the keys of broken ones."""
    results: dict[bytes, StoredResult] = {}
    damaged: list[bytes] = []
    until = perf_counter() + _TURN_S
    for key, frame in frames.items():
        result = unpacked(frame)
        if result is None:
            damaged.append(key)
        else:
            results[key] = result
        if perf_counter() >= until:
            await asyncio.sleep(0)
            until = perf_counter() + _TURN_S
    return results, damaged


def _is_exact(root: Any, limit_bytes: int) -> bool:
    """Whether the value consists of kinds that are read as they are written, and is not too large to be looked at."""
    waiting = [root]
    parts = size = containers = 0
    while waiting:
        value = waiting.pop()
        kind = type(value)
        if kind is str or kind is bytes:
            size += len(value)
        elif kind in _ITEMS:
            containers += 1
            parts += len(value)
            if parts <= _MAX_PARTS and not _FLAT.issuperset(map(type, value)):
                waiting.extend(value)
        elif kind is dict:
            containers += 1
            parts += 2 * len(value)
            if parts <= _MAX_PARTS:
                waiting.extend(value)
                waiting.extend(value.values())
        elif kind not in _FLAT and not _is_exact_time(value):
            return False
        if size > limit_bytes or parts > _MAX_PARTS or containers > _MAX_CONTAINERS:
            return False
    return True


def _is_exact_time(value: Any) -> bool:
    """Whether it is a date or time that is read as it is: moments come back in UTC, whatever zone they were said in."""
    kind = type(value)
    if kind is dt.datetime:
        return not value.fold and (value.tzinfo is None or value.tzinfo is dt.UTC)
    return kind is dt.time and not value.fold
