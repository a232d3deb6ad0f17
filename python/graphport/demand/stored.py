"""The evaluator's side of a persistent store: results are looked for before nodes run, and written behind.

What is found is a hit like any other. A store that fails or is slow costs a demand `PATIENCE_S` once and is then left
alone for a while: nothing of a store fails a demand or makes it wait for ever. Must not know which store it is. Called
by `preparing`, `run` and `keeping`, on the loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from graphport.contracts.cache_store import StoredResult
from graphport.core.errors import StoreError
from graphport.graph.plan import slices
from graphport.graph.values import size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from graphport.contracts.cache_store import CacheStore
    from graphport.demand.memo import Chunks, Memo, Outputs
    from graphport.demand.preparing import Preparing
    from graphport.graph.compile import CompiledNode

_log = logging.getLogger("graphport.store")

# The longest that a demand waits for an answer.
PATIENCE_S: Final = 1.0
# After a failure the store is not asked for so long.
_REST_S: Final = 1.0
# How often the log says that something is wrong.
_QUIET_S: Final = 30.0
# What may wait to be written; more is dropped.
_MAX_WAITING_BYTES: Final = 67_108_864
_MAX_WAITING: Final = 10_000
# Results written at a time.
_BATCH: Final = 1_000

T = TypeVar("T")


class _Answer(Generic[T]):
    """What the store says, once it has said it; None is that it did not."""

    __slots__ = ("done", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: T | None = None


class Stored:
    """A store in use.

    Args:
        store: the store.
        memo: gets what is found.
        loop: the event loop.

    Attributes:
        hits: results found.
        written: results given to the store.
        dropped: results that were not, because too many waited or it failed.
    """

    def __init__(self, store: CacheStore, memo: Memo, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._memo = memo
        self._loop = loop
        self._tasks: set[asyncio.Task[Any]] = set()
        self._overdue = 0  # questions that were given up and are not answered yet
        self._rest_until = self._quiet_until = 0.0
        self._waiting: dict[bytes, StoredResult] = {}
        self._unwanted: dict[bytes, None] = {}
        self._waiting_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self.hits = self.written = self.dropped = 0

    def describe(self) -> dict[str, Any]:
        """Facts for the query `health`."""
        return {
            "kind": self._store.kind,
            "usable": self.usable,
            "hits": self.hits,
            "written": self.written,
            "dropped": self.dropped,
            "waiting": len(self._waiting) + (self._writer is not None),
        }

    @property
    def usable(self) -> bool:
        """Whether it is worth asking now."""
        return not self._overdue and self._loop.time() >= self._rest_until

    # Looking for results

    def finding(self, run: Preparing) -> Generator[None, None, None]:
        """Bring into the cache what the store has of what a run needs. Pauses now and then, and to ask the store.

        First it is asked which of the results there are, then for those that the target needs first: what lies before
        them need not be known.
        """
        if not self.usable:
            return
        places = yield from self._needed(run, frozenset())
        wanted = {run.keys[place]: place for place in places}
        if not wanted:
            return
        asking = self._store.contains_many([key for key in wanted if key is not None])
        known = yield from self._awaited(run, asking)
        if known is None:
            return
        run.asked.update(key for key in wanted if key is not None and key not in known)
        if not known:
            return
        first = yield from self._needed(run, known)
        keys = [key for place in first if (key := run.keys[place]) in known and key is not None]
        found = yield from self._awaited(run, self._store.get_many(keys))
        if found is None:
            return
        run.asked.update(keys)
        for key, result in found.items():
            self._take(run.plan.nodes[wanted[key]], key, result)

    def contained(self, run: Preparing) -> Generator[None, None, set[bytes]]:
        """Keys of what the store has of what a run could need; nothing is brought into the cache."""
        if not self.usable:
            return set()
        places = yield from self._needed(run, frozenset())
        keys = [key for place in places if (key := run.keys[place]) is not None]
        known = (yield from self._awaited(run, self._store.contains_many(keys))) if keys else None
        return set(known or ())

    def _needed(self, run: Preparing, known: frozenset[bytes] | set[bytes]) -> Generator[None, None, list[int]]:
        """Places whose result the store may have, that neither the cache has nor lie before ones that are `known`.

        Those that stream are needed wherever they lie, if the demand listens: what they said is said again.
        """
        keys, nodes, sources, memo = run.keys, run.plan.nodes, run.plan.sources, self._memo
        last = len(nodes) - 1
        needed = bytearray(last + 1)
        needed[last] = 1
        found: list[int] = []
        for places in slices(last + 1):
            for place in range(last - places.start, last - places.stop, -1):
                node, key = nodes[place], keys[place]
                heard = node.departs and (run.listens(place) or (node.type.inner is not None and run.streams))
                if not needed[place] and not heard:
                    continue
                once = run.once is not None and run.once[place]
                if key is not None and not once:
                    if key in memo:
                        continue
                    if node.stored:
                        found.append(place)
                        if key in known:
                            continue
                if needed[place]:
                    own = {edge[0] for edge in run.edges[place]} if place in run.inputs else sources[place]
                    for source in own:
                        needed[source] = 1
            yield
        return found

    def find(self, run: Preparing, place: int, then: Callable[[Outputs | None], None]) -> None:
        """Look for one result, of which the key became known only now; `then` is called with it or None, later."""
        key: bytes = run.keys[place]  # type: ignore[assignment]
        run.asked.add(key)
        answer: _Answer[dict[bytes, StoredResult]] = _Answer()

        def answered() -> None:
            result = (answer.value or {}).get(key)
            then(None if result is None else self._take(run.plan.nodes[place], key, result))

        self._ask(self._store.get_many([key]), answer, answered)

    def _take(self, node: CompiledNode, key: bytes, result: StoredResult) -> Outputs | None:
        """Put a result into the cache, if it is one that the node could have made."""
        names = result.outputs.keys()
        if names != node.output_names and not (node.gate and names and names <= node.output_names):
            return None
        self.hits += 1
        self._memo.put(key, result.outputs, result.chunks)
        return result.outputs

    def _awaited(self, run: Preparing, asking: Coroutine[Any, Any, T]) -> Generator[None, None, T | None]:
        """What the store answers, or None; the run is paused meanwhile."""
        answer: _Answer[T] = _Answer()
        self._ask(asking, answer, run.go_on)
        while not answer.done:
            run.paused = True
            yield
        return answer.value

    def _ask(self, asking: Coroutine[Any, Any, T], answer: _Answer[T], then: Callable[[], None]) -> None:
        task = self._loop.create_task(self._answered(asking, answer))
        self._tasks.add(task)

        def over(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            answer.done = True
            if not done.cancelled():
                then()

        task.add_done_callback(over)

    async def _answered(self, asking: Coroutine[Any, Any, T], answer: _Answer[T]) -> None:
        work = self._loop.create_task(asking)
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)
        await asyncio.wait({work}, timeout=PATIENCE_S)
        if not work.done():
            self._overdue += 1
            work.add_done_callback(self._came_late)
            self._warn("the cache store has not answered for %s s; demands go on without it", PATIENCE_S)
            return
        try:
            answer.value = work.result()
        except Exception as error:  # a store is foreign code; whatever it raises is a miss
            self._failed(error)

    def _came_late(self, work: asyncio.Task[Any]) -> None:
        self._overdue -= 1
        if not work.cancelled() and (error := work.exception()) is not None:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self._rest_until = self._loop.time() + _REST_S
        said = error.message if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
        self._warn("the cache store failed, and demands go on without it: %s", said)

    def _warn(self, text: str, *args: object) -> None:
        now = self._loop.time()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_S
            _log.warning(text, *args)

    # Writing behind

    def keep(self, node: CompiledNode, key: bytes, outputs: Outputs, chunks: Chunks | None) -> None:
        """Have a result stored, soon."""
        if key in self._waiting:
            return
        size = size_of(outputs) + size_of(chunks)
        if self._waiting_bytes + size > _MAX_WAITING_BYTES or len(self._waiting) >= _MAX_WAITING:
            self.dropped += 1
            self._warn("the cache store is too slow: %d results were not stored so far", self.dropped)
            return
        self._waiting_bytes += size
        self._waiting[key] = StoredResult(
            outputs=outputs, chunks=chunks, node_type=node.type.spec.type, created_s=time.time(), size_bytes=size
        )
        self._write_soon()

    def forget(self, key: bytes) -> None:
        """Have a result removed, soon."""
        result = self._waiting.pop(key, None)
        if result is not None:
            self._waiting_bytes -= result.size_bytes
        self._unwanted[key] = None
        self._write_soon()

    def _write_soon(self) -> None:
        if self._writer is None:
            self._writer = self._loop.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._waiting or self._unwanted:
                unwanted, self._unwanted = self._unwanted, {}
                batch = {key: self._waiting[key] for key in list(self._waiting)[:_BATCH]}
                for key in batch:
                    del self._waiting[key]
                try:
                    if unwanted:
                        await self._store.delete_many(unwanted)
                    if batch:
                        self.written += await self._store.put_many(batch)
                except Exception as error:  # foreign code; the results are not stored, and that is all
                    self.dropped += len(batch)
                    self._failed(error)
                self._waiting_bytes -= sum(result.size_bytes for result in batch.values())
        finally:
            self._writer = None

    async def close(self, patience_s: float) -> None:
        """Write what waits, for at most so many seconds, and close the store."""
        until = self._loop.time() + patience_s
        if self._writer is not None:
            await asyncio.wait({self._writer}, timeout=patience_s)
        closing = self._loop.create_task(self._store.close())
        await asyncio.wait({closing}, timeout=max(0.05, until - self._loop.time()))
        if closing.done() and (error := closing.exception()) is not None:
            self._failed(error)
        left = [task for task in (*self._tasks, self._writer, closing) if task is not None and not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=0.05)
