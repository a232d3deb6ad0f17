"""Results in this process's memory, for several evaluators of one process and for tests."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from graphport.contracts.cache_store import DEFAULT_STORE_BYTES, DEFAULT_STORE_ENTRIES, StoreStats
from graphport.stores.packing import packed_in_turns, unpacked_in_turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphport.contracts.cache_store import CacheStore, StoredResult


class MemoryStore:
    """A store as `contracts.cache_store.CacheStore` says. Holds bytes, not values, so that nobody shares a list.

    Args:
        max_bytes: bytes of all results together.
        max_entries: number of results.
    """

    kind: Final = "memory"

    def __init__(self, *, max_bytes: int = DEFAULT_STORE_BYTES, max_entries: int = DEFAULT_STORE_ENTRIES) -> None:
        self._frames: OrderedDict[bytes, bytes] = OrderedDict()
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._bytes = self._refused = self._damaged = 0

    async def get_many(self, keys: Iterable[bytes]) -> dict[bytes, StoredResult]:
        """See `CacheStore.get_many`."""
        found = {key: self._frames[key] for key in keys if key in self._frames}
        for key in found:
            self._frames.move_to_end(key)
        results, damaged = await unpacked_in_turns(found)
        self._damaged += len(damaged)
        self._drop(damaged)
        return results

    async def contains_many(self, keys: Iterable[bytes]) -> set[bytes]:
        """See `CacheStore.contains_many`."""
        return {key for key in keys if key in self._frames}

    async def put_many(self, results: Mapping[bytes, StoredResult]) -> int:
        """See `CacheStore.put_many`."""
        frames, refused = await packed_in_turns(results, self._max_bytes)
        self._refused += refused
        self._drop(frames)
        for key, frame in frames.items():
            self._frames[key] = frame
            self._bytes += len(frame)
        while self._bytes > self._max_bytes or len(self._frames) > self._max_entries:
            _, frame = self._frames.popitem(last=False)
            self._bytes -= len(frame)
        return len(frames)

    async def delete_many(self, keys: Iterable[bytes]) -> int:
        """See `CacheStore.delete_many`."""
        return self._drop(keys)

    async def clear(self) -> None:
        """See `CacheStore.clear`."""
        self._frames.clear()
        self._bytes = 0

    async def stats(self) -> StoreStats:
        """See `CacheStore.stats`."""
        return StoreStats(
            entries=len(self._frames),
            size_bytes=self._bytes,
            max_bytes=self._max_bytes,
            max_entries=self._max_entries,
            refused=self._refused,
            damaged=self._damaged,
        )

    async def close(self) -> None:
        """See `CacheStore.close`. What it holds stays, for whoever else has it."""

    def _drop(self, keys: Iterable[bytes]) -> int:
        dropped = 0
        for key in keys:
            frame = self._frames.pop(key, None)
            if frame is not None:
                self._bytes -= len(frame)
                dropped += 1
        return dropped


if TYPE_CHECKING:

    def _is_store(store: MemoryStore) -> CacheStore:
        return store
