"""Long messages on their way out: cut into parts that go one by one, so that everything else passes between them.

So do cached streams that are sent again, message by message. What a demand sends after either waits here behind it, and
keeps its order so. Must not send anything itself. Called by `outbox`, on the loop's thread.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from graphport.server.pending import Latest, Replay
from graphport.server.waiters import Waiters
from graphport.wire import messages
from graphport.wire.limits import PART_BYTES

# A demand with more than this here is behind.
_KEPT_BYTES: Final = 1_048_576


class _Item(NamedTuple):
    """Something about a demand or request, of so many bytes, that may go once `after` messages have left the queue."""

    number: int
    what: bytes | Latest | Replay
    size: int
    after: int


class Bulk:
    """What goes in order, and how far the first of it has gone.

    Attributes:
        waiting: bytes of each demand or request of which something waits. The same object always.
        waiters: to be told when something has gone.
    """

    def __init__(self) -> None:
        self._queue: deque[_Item] = deque()
        self.waiting: dict[int, int] = {}
        # The message under way, and how many parts of it have gone.
        self._packed: bytes | None = None
        self._seq = 0
        self.waiters = Waiters()

    def add(self, number: int, what: bytes | Latest | Replay, after: int) -> None:
        """Queue something about that demand or request, to go when `after` other messages have."""
        size = len(what) if isinstance(what, bytes) else what.size
        self._queue.append(_Item(number, what, size, after))
        self.waiting[number] = self.waiting.get(number, 0) + size

    def behind(self, demand: int) -> bool:
        """Whether so much of it waits that nodes should be held back."""
        return self.waiting.get(demand, 0) > _KEPT_BYTES

    def due(self, gone: int) -> bool:
        """Whether the first may go, `gone` messages having left the queue."""
        return bool(self._queue) and self._queue[0].after <= gone

    def next(self) -> tuple[int, bytes]:
        """Take out the next part, or the next message that needs none, packed, and say what it is about."""
        item = self._queue[0]
        packed = self._packed
        if packed is None:
            what = item.what
            packed = what if isinstance(what, bytes) else what.take() if isinstance(what, Replay) else what.pack()
            if len(packed) <= PART_BYTES:
                self._took(item)
                return item.number, packed
            self._packed = packed
        start = self._seq * PART_BYTES
        data = memoryview(packed)[start : start + PART_BYTES]
        last = start + PART_BYTES >= len(packed)
        part = messages.part(item.number, self._seq, data, last=last)
        self._seq += 1
        if last:
            self._took(item)
        return item.number, part

    def drop(self, number: int) -> bool:
        """Forget what waits of a demand; the other side forgets what has gone of it. Returns whether there was any."""
        if self.waiting.pop(number, None) is None:
            return False
        if self._queue and self._queue[0].number == number:
            self._packed, self._seq = None, 0
        self._queue = deque(item for item in self._queue if item.number != number)
        return True

    def _took(self, item: _Item) -> None:
        """A whole message of the first item has gone."""
        self._packed, self._seq = None, 0
        if isinstance(item.what, Replay) and not item.what.over:
            return
        # In this order, and `add` in the other: interrupted between, something may wait uncounted, never be counted and
        # gone. Nothing counts for no bytes, so none are left only with the last.
        left = self.waiting.get(item.number, 0) - item.size
        if left > 0:
            self.waiting[item.number] = left
        else:
            self.waiting.pop(item.number, None)
        self._queue.popleft()
