"""Results in an SQLite file: one thread and one connection per process, many writes in one transaction.

The file is in WAL mode and is not flushed at each commit: what was committed survives the end of a process, and at a
power failure the last commits may be missing, which a cache may. Several processes may use one file. Needs nothing but
Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphport.contracts.cache_store import DEFAULT_STORE_BYTES, DEFAULT_STORE_ENTRIES, StoreStats
from graphport.stores.packing import packed_in_turns, unpacked_in_turns
from graphport.stores.sqlite_file import Clear, Close, Contains, Delete, Get, Put, SqliteFile, Totals
from graphport.stores.worker_thread import StoreThread

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from graphport.contracts.cache_store import CacheStore, StoredResult
    from graphport.stores.sqlite_file import Operation

# Operations that share a transaction at most.
_AT_ONCE: Final = 256


class SqliteStore:
    """A store as `contracts.cache_store.CacheStore` says.

    Args:
        path: the file, made if there is none; the folder must exist.
        max_bytes: bytes of all results together. The file is somewhat larger, and does not shrink.
        max_entries: number of results.
    """

    kind: Final = "sqlite"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = DEFAULT_STORE_BYTES,
        max_entries: int = DEFAULT_STORE_ENTRIES,
    ) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._refused = self._damaged = 0
        self._file = SqliteFile(path, max_bytes=max_bytes, max_entries=max_entries)
        self._thread: StoreThread[Operation] = StoreThread(self._file.serve, at_once=_AT_ONCE)

    def open(self) -> None:
        """See whether the file can be used. Blocks; to be called before the event loop matters.

        Raises:
            StoreError: it cannot be opened, or is something else than a cache. One that is only locked is tried later.
        """
        self._file.check()

    async def get_many(self, keys: Iterable[bytes]) -> dict[bytes, StoredResult]:
        """See `CacheStore.get_many`."""
        frames: dict[bytes, bytes] = await self._thread.do(Get(list(keys)))
        results, damaged = await unpacked_in_turns(frames)
        if damaged:
            self._damaged += len(damaged)
            await self._thread.do(Delete(damaged))
        return results

    async def contains_many(self, keys: Iterable[bytes]) -> set[bytes]:
        """See `CacheStore.contains_many`."""
        found: set[bytes] = await self._thread.do(Contains(list(keys)))
        return found

    async def put_many(self, results: Mapping[bytes, StoredResult]) -> int:
        """See `CacheStore.put_many`."""
        frames, refused = await packed_in_turns(results, self._max_bytes)
        self._refused += refused
        await self._thread.do(Put(frames))
        return len(frames)

    async def delete_many(self, keys: Iterable[bytes]) -> int:
        """See `CacheStore.delete_many`."""
        removed: int = await self._thread.do(Delete(list(keys)))
        return removed

    async def clear(self) -> None:
        """See `CacheStore.clear`."""
        await self._thread.do(Clear())

    async def stats(self) -> StoreStats:
        """See `CacheStore.stats`."""
        entries, size = await self._thread.do(Totals())
        return StoreStats(
            entries=entries,
            size_bytes=size,
            max_bytes=self._max_bytes,
            max_entries=self._max_entries,
            refused=self._refused,
            damaged=self._damaged,
        )

    async def close(self) -> None:
        """See `CacheStore.close`."""
        if not self._thread.closed:
            await self._thread.do(Close())
            self._thread.end()


if TYPE_CHECKING:

    def _is_store(store: SqliteStore) -> CacheStore:
        return store
