"""The stores that must pass the suite in this folder. A new one adds one line to `STORES`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from graphport.contracts.cache_store import DEFAULT_STORE_BYTES, DEFAULT_STORE_ENTRIES, CacheStore
from graphport.stores.filesystem import FilesystemStore
from graphport.stores.memory import MemoryStore
from graphport.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path


class Make(Protocol):
    """Opens a store at a place that is the test's own."""

    async def __call__(
        self, path: Path, *, max_bytes: int = DEFAULT_STORE_BYTES, max_entries: int = DEFAULT_STORE_ENTRIES
    ) -> CacheStore: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A store under test.

    Attributes:
        file: where it comes from, in `graphport/stores`.
        make: opens one.
        durable: what was put is there for another process.
    """

    file: str
    make: Make
    durable: bool = True


async def _memory(
    path: Path, *, max_bytes: int = DEFAULT_STORE_BYTES, max_entries: int = DEFAULT_STORE_ENTRIES
) -> CacheStore:
    del path  # it has no place
    return MemoryStore(max_bytes=max_bytes, max_entries=max_entries)


async def _filesystem(
    path: Path, *, max_bytes: int = DEFAULT_STORE_BYTES, max_entries: int = DEFAULT_STORE_ENTRIES
) -> CacheStore:
    store = FilesystemStore(path / "results", max_bytes=max_bytes, max_entries=max_entries)
    await asyncio.to_thread(store.open)
    return store


async def _sqlite(
    path: Path, *, max_bytes: int = DEFAULT_STORE_BYTES, max_entries: int = DEFAULT_STORE_ENTRIES
) -> CacheStore:
    store = SqliteStore(path / "results.db", max_bytes=max_bytes, max_entries=max_entries)
    await asyncio.to_thread(store.open)
    return store


STORES: Final = (
    Enrolled(file="memory.py", make=_memory, durable=False),
    Enrolled(file="filesystem.py", make=_filesystem),
    Enrolled(file="sqlite.py", make=_sqlite),
)
