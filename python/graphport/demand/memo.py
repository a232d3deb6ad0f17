"""Results of cacheable nodes by key: one LRU per engine, bounded by bytes and by entries.

Dropping a result never takes it from a run that uses it: runs hold what they have read. Errors are never put in.
The results themselves are plain dicts, and what few nodes need (streamed chunks, content digests) lies beside them: an
object per result would double what a trivial node costs (`scripts/bench evaluator`). Called by `run` and `flight`, on
the event loop's thread only.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from graphport.graph.digest import XXH3
from graphport.graph.values import FLAT_BYTES, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphport.graph.digest import Hasher

DEFAULT_BYTES: Final = 256 * 1024 * 1024
DEFAULT_ENTRIES: Final = 1_000_000
_RESULT_OVERHEAD_BYTES: Final = 400

# Port to value; for a gate the live port only.
Outputs = dict[str, Any]
# What a node streamed: `(port, chunk)` in order, neighbouring text joined.
# Of nodes within the node the port is a pair of path and port.
Chunks = list[tuple[Any, Any]]


class Memo:
    """The cache. `get` counts as use.

    Args:
        max_bytes: estimated bytes of all results together.
        max_entries: number of results.

    Attributes:
        hasher: what content digests are made by.
    """

    __slots__ = (
        "_chunks",
        "_digests",
        "_results",
        "_sizes",
        "bytes",
        "evictions",
        "hasher",
        "max_bytes",
        "max_entries",
    )

    def __init__(self, *, max_bytes: int = DEFAULT_BYTES, max_entries: int = DEFAULT_ENTRIES) -> None:
        self._results: OrderedDict[bytes, Outputs] = OrderedDict()
        self._sizes: dict[bytes, int] = {}
        self._chunks: dict[bytes, Chunks] = {}
        self._digests: dict[bytes, dict[str, bytes]] = {}
        self.max_bytes = max_bytes
        self.max_entries = max_entries
        self.hasher: Hasher = XXH3
        self.bytes = 0
        self.evictions = 0  # results given up for others, ever

    def __len__(self) -> int:
        return len(self._results)

    def __contains__(self, key: bytes) -> bool:
        return key in self._results

    def get(self, key: bytes) -> Outputs | None:
        """The result of that key, now the youngest, or None."""
        outputs = self._results.get(key)
        if outputs is not None:
            self._results.move_to_end(key)
        return outputs

    def has_some_of(self, keys: Iterable[bytes | None]) -> bool:
        """Whether a result has one of these keys. Asking is not use."""
        return not self._sizes.keys().isdisjoint(keys)

    def peek(self, key: bytes) -> Outputs | None:
        """The result of that key, or None. Asking is not use."""
        return self._results.get(key)

    def size(self, key: bytes) -> int | None:
        """Estimated bytes of the result of that key; None if there is none."""
        return self._sizes.get(key)

    def put(self, key: bytes, outputs: Outputs, chunks: Chunks | None = None) -> None:
        """Keep one result. One that alone exceeds the bound is not kept."""
        self.put_many(((key, outputs),))
        if chunks and key in self._results:
            size = size_of(chunks)
            self._chunks[key] = chunks
            self._sizes[key] += size
            self.bytes += size
            self._shrink()

    def put_many(self, pairs: Iterable[tuple[bytes, Outputs]]) -> None:
        """Keep results, the last one the youngest."""
        results, sizes, total = self._results, self._sizes, self.bytes
        for key, outputs in pairs:
            size = _RESULT_OVERHEAD_BYTES
            for value in outputs.values():
                size += FLAT_BYTES.get(type(value)) or size_of(value)
            if size > self.max_bytes:
                continue
            if key in sizes:
                self.bytes = total
                self._drop(key)
                total = self.bytes
            results[key] = outputs
            sizes[key] = size
            total += size
        self.bytes = total
        self._shrink()

    def chunks(self, key: bytes) -> Chunks | None:
        """What the node streamed for that result, or None."""
        return self._chunks.get(key)

    def digest_of(self, key: bytes, port: str, outputs: Outputs) -> bytes | None:
        """Content digest of an output of a result, computed once while it is kept; None if it is no plain data."""
        known = self._digests.get(key)
        if known is not None and port in known:
            return known[port]
        found = self.hasher.digest(outputs.get(port))
        if found is not None and key in self._results:
            self._digests.setdefault(key, {})[port] = found
        return found

    def discard(self, key: bytes) -> None:
        """Forget one result, if it is there."""
        if key in self._results:
            self._drop(key)

    def clear(self) -> None:
        """Forget everything."""
        for part in (self._results, self._sizes, self._chunks, self._digests):
            part.clear()
        self.bytes = 0

    def _shrink(self) -> None:
        while self.bytes > self.max_bytes or len(self._results) > self.max_entries:
            self._drop(next(iter(self._results)))
            self.evictions += 1

    def _drop(self, key: bytes) -> None:
        del self._results[key]
        self.bytes -= self._sizes.pop(key)
        if self._chunks:
            self._chunks.pop(key, None)
        if self._digests:
            self._digests.pop(key, None)
