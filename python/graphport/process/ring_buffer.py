"""Keeps the last bytes of an endless output. Must not block or grow. Used by `child`."""

from __future__ import annotations


class RingBuffer:
    """The last `limit` bytes of what was appended."""

    __slots__ = ("_bytes", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = bytearray()

    def append(self, data: bytes) -> None:
        """Add bytes, forgetting the oldest beyond the limit."""
        self._bytes += data[-self._limit :]
        # Cut only when twice too long, so that each byte is moved at most once on average.
        if len(self._bytes) > 2 * self._limit:
            del self._bytes[: -self._limit]

    def text(self) -> str:
        """What is kept, as text; broken characters are replaced."""
        return bytes(self._bytes[-self._limit :]).decode("utf-8", "replace")
