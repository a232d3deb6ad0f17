"""Results of cacheable nodes by key: one LRU per engine, bounded by bytes and by entries.

Dropping an entry never takes a value from a run that uses it: runs hold what they have read. Errors are never put in.
Called by `run` and `flight`, on the event loop's thread only.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from graphport.demand.values import size_of
from graphport.graph.digest import digest

DEFAULT_BYTES: Final = 256 * 1024 * 1024
DEFAULT_ENTRIES: Final = 1_000_000
_ENTRY_OVERHEAD_BYTES: Final = 400


class Entry:
    """A node's finished execution.

    Attributes:
        outputs: port to value; for a gate the live port only.
        digests: per port a hash of the value, where the node type asks for it.
        chunks: what the node streamed, `(port, chunk)` in order, neighbouring text joined; None if it did not.
        size: bytes this entry counts for.
    """

    __slots__ = ("chunks", "digests", "outputs", "size")

    def __init__(self, outputs: dict[str, Any], chunks: list[tuple[str, Any]] | None = None) -> None:
        self.outputs = outputs
        self.digests: dict[str, bytes] | None = None
        self.chunks = chunks
        self.size = 0

    def digest_of(self, port: str) -> bytes | None:
        """Content digest of an output, computed at the first question; None if it is not plain data."""
        if self.digests is None:
            self.digests = {}
        known = self.digests.get(port)
        if known is None:
            known = digest(self.outputs.get(port))
            if known is not None:
                self.digests[port] = known
        return known


class Memo:
    """The cache. `get` counts as use.

    Args:
        max_bytes: estimated bytes of all entries together.
        max_entries: number of entries.
    """

    __slots__ = ("_entries", "bytes", "max_bytes", "max_entries", "puts")

    def __init__(self, *, max_bytes: int = DEFAULT_BYTES, max_entries: int = DEFAULT_ENTRIES) -> None:
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self.max_bytes = max_bytes
        self.max_entries = max_entries
        self.bytes = 0
        self.puts = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Entry | None:
        """The entry of that key, now the youngest, or None."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep an entry. One that alone exceeds the bound is not kept."""
        size = _ENTRY_OVERHEAD_BYTES
        for value in entry.outputs.values():
            size += size_of(value)
        if entry.chunks:
            size += size_of(entry.chunks)
        self.puts += 1
        if size > self.max_bytes:
            return
        entry.size = size
        old = self._entries.get(key)
        if old is not None:
            self.bytes -= old.size
            self._entries.move_to_end(key)
        self._entries[key] = entry
        self.bytes += size
        while self.bytes > self.max_bytes or len(self._entries) > self.max_entries:
            _, dropped = self._entries.popitem(last=False)
            self.bytes -= dropped.size

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.bytes = 0
