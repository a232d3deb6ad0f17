"""Long messages on their way out: cut into parts that go one by one, so that everything else passes between them.

What a demand sends after a long message waits here behind it, and keeps its order so. Must not send anything itself.
Called by `outbox`, on the loop's thread.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from graphport.server.waiters import Waiters
from graphport.wire import messages
from graphport.wire.limits import PART_BYTES

# A demand with more than this here is behind.
_KEPT_BYTES: Final = 1_048_576


class Bulk:
    """Packed messages in order, and how far the first of them has gone."""

    def __init__(self) -> None:
        self._queue: deque[tuple[int, bytes]] = deque()
        self._bytes_of: dict[int, int] = {}
        self._seq = 0
        self.waiters = Waiters()

    def __bool__(self) -> bool:
        return bool(self._queue)

    def __contains__(self, number: int) -> bool:
        """Whether something of that demand or request waits."""
        return number in self._bytes_of

    def add(self, number: int, packed: bytes) -> None:
        """Queue a message about that demand or request."""
        self._queue.append((number, packed))
        self._bytes_of[number] = self._bytes_of.get(number, 0) + len(packed)

    def behind(self, demand: int) -> bool:
        """Whether so much of it waits that nodes should be held back."""
        return self._bytes_of.get(demand, 0) > _KEPT_BYTES

    def next(self) -> bytes:
        """Take out the next part, or the next message that needs none, packed."""
        number, packed = self._queue[0]
        start = self._seq * PART_BYTES
        if not start and len(packed) <= PART_BYTES:
            self._took(number, len(packed))
            return packed
        data = memoryview(packed)[start : start + PART_BYTES]
        last = start + PART_BYTES >= len(packed)
        part = messages.part(number, self._seq, data, last=last)
        self._seq += 1
        if last:
            self._took(number, len(packed))
        return part

    def drop(self, number: int) -> bool:
        """Forget what waits of a demand; the other side forgets what has gone of it. Returns whether there was any."""
        if self._bytes_of.pop(number, None) is None:
            return False
        if self._queue[0][0] == number:
            self._seq = 0
        self._queue = deque(item for item in self._queue if item[0] != number)
        return True

    def _took(self, number: int, size: int) -> None:
        self._queue.popleft()
        self._seq = 0
        self._bytes_of[number] -= size
        if not self._bytes_of[number]:
            del self._bytes_of[number]
