"""16-byte digests of values, the stuff that keys of node executions are made of.

A digest tells equal values apart from unequal ones: `1`, `1.0` and `True` differ, the order of map keys does not
matter, all NaN are one, `-0.0` is `0.0`. There are two ways to hash, of which an engine uses one for all its keys. xxh3
is fast and not collision-resistant, for keys that stay in the process; blake2b is for keys that others share. Both give
the same in every process. Pure. Called by `graph.compile` and by `demand`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgpack
from xxhash import xxh3_128_digest as xxh3

if TYPE_CHECKING:
    from collections.abc import Callable

    _Hash = Callable[[bytes], bytes]

__all__ = ["BLAKE2B", "DEAD", "XXH3", "Hasher", "digest", "xxh3"]

# Longer texts and bytes within a value are hashed where they lie, and not copied into what is hashed.
_LONG: Final = 1_024
# Longer lists are not looked through item by item.
_MANY: Final = 65_536
DEAD: Final = xxh3(b"graphport: the edge is dead")


class Hasher:
    """One way to hash.

    Args:
        of_bytes: 16 bytes of any bytes.
        of_text: the same for what spells a text, so that it differs from the text's bytes.
        of_binary: the same for a value of type `bytes`.

    Attributes:
        hash: `of_bytes`.
    """

    __slots__ = ("_of_binary", "_of_text", "hash")

    def __init__(self, of_bytes: _Hash, of_text: _Hash, of_binary: _Hash) -> None:
        self.hash = of_bytes
        self._of_text = of_text
        self._of_binary = of_binary

    def digest(self, value: Any) -> bytes | None:
        """The digest of a value, or None if it holds something other than plain data."""
        kind = type(value)
        if kind is str:
            return self._of_text(_utf8(value))
        if kind is bytes:
            return self._of_binary(value)
        try:
            return self.hash(_packed(_canonical(value, self.hash)))
        except (TypeError, ValueError, OverflowError, RecursionError):
            return None


def _canonical(value: Any, hash_: _Hash) -> Any:
    kind = type(value)
    if kind is dict:
        pairs = [[_packed(_canonical(key, hash_)), _packed(_canonical(item, hash_))] for key, item in value.items()]
        return ["d", sorted(pairs)]
    if kind is list:
        return _canonical_list(value, hash_)
    if kind is float:
        return ["nan"] if math.isnan(value) else ["f", value + 0.0]
    if kind is str:
        text = _utf8(value)
        return ["s", text] if len(text) <= _LONG else ["S", hash_(text)]
    if kind is bytes and len(value) > _LONG:
        return ["B", hash_(value)]
    if kind is int and not -(2**63) <= value < 2**64:
        return ["i", str(value)]
    if kind is tuple:
        return ["t", [_canonical(item, hash_) for item in value]]
    if kind is set or kind is frozenset:
        return ["e", sorted(_packed(_canonical(item, hash_)) for item in value)]
    if kind in _BY_ISO:
        return [kind.__name__, value.isoformat()]
    return value


def _canonical_list(items: list[Any], hash_: _Hash) -> Any:
    if len(items) > _MANY:
        # As it is packed, which is soon done: maps in it that differ in order alone then count as different.
        with contextlib.suppress(TypeError, OverflowError):  # tuples, sets, dates are not packed as they are
            return ["L", hash_(_packed(items))]
    return ["l", [_canonical(item, hash_) for item in items]]


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _packed(value: Any) -> bytes:
    return msgpack.packb(value, strict_types=True, use_bin_type=True)  # type: ignore[no-any-return]


def _blake2b(data: bytes, *, salt: bytes = b"") -> bytes:
    return blake2b(data, digest_size=16, person=b"graphport", salt=salt, usedforsecurity=False).digest()


_BY_ISO: Final = frozenset({dt.datetime, dt.date, dt.time})

XXH3: Final = Hasher(xxh3, partial(xxh3, seed=1), partial(xxh3, seed=2))
BLAKE2B: Final = Hasher(_blake2b, partial(_blake2b, salt=b"text"), partial(_blake2b, salt=b"bytes"))

digest: Final = XXH3.digest
