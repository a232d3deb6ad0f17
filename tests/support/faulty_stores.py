"""Stores that fail, or do not answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from graphport.core.errors import StoreError
from graphport.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphport.contracts.cache_store import StoredResult, StoreStats


class _Faulty:
    """A store in memory, with something before each call.

    Attributes:
        asked: calls that met the fault.
    """

    kind = "faulty"

    def __init__(self, methods: set[str], inner: MemoryStore | None = None) -> None:
        self._methods = methods
        self._inner = MemoryStore() if inner is None else inner
        self.asked = 0

    async def _fault(self) -> None:
        raise NotImplementedError

    async def _before(self, method: str) -> None:
        if method in self._methods:
            self.asked += 1
            await self._fault()

    async def get_many(self, keys: Iterable[bytes]) -> dict[bytes, StoredResult]:
        await self._before("get_many")
        return await self._inner.get_many(keys)

    async def contains_many(self, keys: Iterable[bytes]) -> set[bytes]:
        await self._before("contains_many")
        return await self._inner.contains_many(keys)

    async def put_many(self, results: Mapping[bytes, StoredResult]) -> int:
        await self._before("put_many")
        return await self._inner.put_many(results)

    async def delete_many(self, keys: Iterable[bytes]) -> int:
        return await self._inner.delete_many(keys)

    async def clear(self) -> None:
        await self._inner.clear()

    async def stats(self) -> StoreStats:
        return await self._inner.stats()

    async def close(self) -> None:
        await self._before("close")


class FailingStore(_Faulty):
    """Raises in these methods: what the contract says, or something else."""

    def __init__(self, methods: set[str], *, typed: bool, inner: Any = None) -> None:
        super().__init__(methods, inner)
        self._typed = typed

    async def _fault(self) -> None:
        raise StoreError("the disk is gone") if self._typed else ZeroDivisionError("not in the contract")


class HangingStore(_Faulty):
    """Does not answer these methods until `go_on`."""

    def __init__(self, methods: set[str], inner: Any = None) -> None:
        super().__init__(methods, inner)
        self._opened = asyncio.Event()

    async def _fault(self) -> None:
        await self._opened.wait()

    def go_on(self) -> None:
        """Answer from now on."""
        self._opened.set()
