"""Where results of nodes outlive an engine, and are shared by engines. Implemented in `graphport.stores`.

A store is a cache: it may forget anything at any time, and what it gives back is what was put, or nothing. It holds no
key that does not tell all that a result depends on; keys are made by `demand.keys`. Called by `demand.stored`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT_STORE_BYTES: Final = 1_073_741_824
DEFAULT_STORE_ENTRIES: Final = 1_000_000
MAX_ENTRY_BYTES: Final = 16_777_216
"""A result of more bytes, as it is written, is not stored: packing it would hold up the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """A node's result.

    Attributes:
        outputs: port to value.
        chunks: what the node streamed, `(port, chunk)` in order; None if nothing.
        node_type: the type of the node that made it, for people.
        created_s: when it was made, in seconds since 1970.
        size_bytes: what it takes in the store; 0 before it is stored.
    """

    outputs: dict[str, Any]
    chunks: list[tuple[str, Any]] | None = None
    node_type: str = ""
    created_s: float = 0.0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStats:
    """What a store holds, and what has become of what it was given since it was opened, by this process.

    Attributes:
        entries: results held, by whichever process they were put.
        size_bytes: bytes of these results.
        max_bytes: the bound.
        max_entries: the bound.
        refused: results not stored, because they are too large or cannot be written so that the same is read again.
        damaged: results found broken, and removed.
    """

    entries: int
    size_bytes: int
    max_bytes: int
    max_entries: int
    refused: int
    damaged: int


class CacheStore(Protocol):
    """Results by key, bounded by bytes and entries.

    Every method is called on the event loop's thread, suspends instead of blocking it, and raises `StoreError`
    (`store_failed`) if the store cannot be used now; it may work again later. None waits for longer than a few seconds.
    Several processes may use one store. What was put is seen by whoever asks after `put_many` has returned.

    Bounds: what was used longest ago goes first, up to a tenth more of it than must. `get_many` and `put_many` count as
    use, in the order given; `contains_many` does not.
    """

    @property
    def kind(self) -> str:
        """What it is called in options, such as `sqlite`."""

    async def get_many(self, keys: Iterable[bytes]) -> dict[bytes, StoredResult]:
        """The results there are. Values are nobody else's: the caller may keep them. Broken ones are removed."""

    async def contains_many(self, keys: Iterable[bytes]) -> set[bytes]:
        """Those of the keys for which `get_many` would probably give a result."""

    async def put_many(self, results: Mapping[bytes, StoredResult]) -> int:
        """Store results, in place of those there are.

        What cannot be stored is left out and counted: values that have no form on the wire or would be read as
        something else (a frozen set, an array), results over `MAX_ENTRY_BYTES` or over the bound.

        Returns:
            How many were stored. They survive the end of this process, but perhaps not that of the machine.
        """

    async def delete_many(self, keys: Iterable[bytes]) -> int:
        """Forget these; returns how many there were."""

    async def clear(self) -> None:
        """Forget everything."""

    async def stats(self) -> StoreStats:
        """Figures."""

    async def close(self) -> None:
        """Finish what was begun and let go of files. Nothing is called afterwards. May be called twice."""
