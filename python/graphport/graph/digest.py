"""16-byte digests of values, the stuff that keys of node executions are made of.

A digest tells equal values apart from unequal ones within one process: `1`, `1.0` and `True` differ, the order of
map keys does not matter, all NaN are one, `-0.0` is `0.0`. xxh3 is fast and not collision-resistant: keys that leave
the process need another hash. Pure. Called by `graph.compile` and by `demand`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from typing import Any, Final

import msgpack
from xxhash import xxh3_128_digest as xxh3

__all__ = ["DEAD", "digest", "xxh3"]

# Seeds that keep the digest of a text apart from that of the bytes which spell it.
_TEXT: Final = 1
_BYTES: Final = 2
# Longer texts and bytes within a value are hashed where they lie, and not copied into what is hashed.
_LONG: Final = 1_024
# Longer lists are not looked through item by item.
_MANY: Final = 65_536
DEAD: Final = xxh3(b"graphport: the edge is dead")


def digest(value: Any) -> bytes | None:
    """The digest of a value, or None if it holds something other than plain data."""
    kind = type(value)
    if kind is str:
        return xxh3(_utf8(value), seed=_TEXT)
    if kind is bytes:
        return xxh3(value, seed=_BYTES)
    try:
        return xxh3(_packed(_canonical(value)))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def _canonical(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return ["d", sorted([_packed(_canonical(key)), _canonical_bytes(item)] for key, item in value.items())]
    if kind is list:
        return _canonical_list(value)
    if kind is float:
        return ["nan"] if math.isnan(value) else ["f", value + 0.0]
    if kind is str:
        text = _utf8(value)
        return ["s", text] if len(text) <= _LONG else ["S", xxh3(text)]
    if kind is bytes and len(value) > _LONG:
        return ["B", xxh3(value)]
    if kind is int and not -(2**63) <= value < 2**64:
        return ["i", str(value)]
    if kind is tuple:
        return ["t", [_canonical(item) for item in value]]
    if kind is set or kind is frozenset:
        return ["e", sorted(_canonical_bytes(item) for item in value)]
    if kind in _BY_ISO:
        return [kind.__name__, value.isoformat()]
    return value


def _canonical_list(items: list[Any]) -> Any:
    if len(items) > _MANY:
        # As it is packed, which is soon done: maps in it that differ in order alone then count as different.
        with contextlib.suppress(TypeError, OverflowError):  # tuples, sets, dates are not packed as they are
            return ["L", xxh3(_packed(items))]
    return ["l", [_canonical(item) for item in items]]


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _canonical_bytes(value: Any) -> bytes:
    return _packed(_canonical(value))


def _packed(value: Any) -> bytes:
    return msgpack.packb(value, strict_types=True, use_bin_type=True)  # type: ignore[no-any-return]


_BY_ISO: Final = frozenset({dt.datetime, dt.date, dt.time})
