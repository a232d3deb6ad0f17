"""What a demand with a window still has to send: chunks that await a grant, and its last message behind them.

Text of one stream is joined while it waits, and of a node's progress the latest is kept. Must not send anything itself.
Called by `outbox`, on the loop's thread.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from graphport.server.pending import JoinedText, Latest, Replay
from graphport.server.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Iterator

# A demand that keeps more than this is behind.
KEPT_BYTES: Final = 262_144
# While all demands together keep more than this, one that keeps anything is.
ALL_KEPT_BYTES: Final = 33_554_432
# Under which the outputs of a watch are kept: no node's id is empty.
_OUTPUT: Final = ""


class Kept:
    """What all windows keep together.

    Attributes:
        bytes: of chunks that await grants.
    """

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class Window:
    """One demand's.

    Attributes:
        waiters: to be told when the demand is no longer behind.
        last: its last message, once there is one.
        held: shut by `hold`, until that is taken back.
    """

    __slots__ = ("_all", "_bytes", "_demand", "_granted", "_progress", "_queue", "_text", "held", "last", "waiters")

    def __init__(self, demand: int, chunks: int, kept: Kept, *, held: bool = False) -> None:
        """A window that lets so many chunks through without a grant."""
        self._demand = demand
        self._granted = chunks
        self._all = kept
        self._queue: deque[bytes | JoinedText | Latest | Replay] = deque()
        self._bytes = 0
        # Text that more may be joined to, though progress lies behind it; and of each node the progress that waits.
        self._text: JoinedText | None = None
        self._progress: dict[str, Latest] = {}
        self.last: bytes | None = None
        self.held = held
        self.waiters = Waiters()

    @property
    def behind(self) -> bool:
        """Whether so much is kept that nodes should be held back."""
        return self._bytes > KEPT_BYTES or (self._bytes > 0 and self._all.bytes > ALL_KEPT_BYTES)

    @property
    def empty(self) -> bool:
        """Whether nothing is kept."""
        return not self._queue

    @property
    def replays(self) -> bool:
        """Whether what goes next is a stream that is sent again."""
        return bool(self._queue) and isinstance(self._queue[0], Replay)

    def grant(self, chunks: int) -> None:
        """Let more chunks through."""
        self._granted += chunks

    @property
    def open(self) -> bool:
        """Whether a chunk may go at once."""
        return self._granted > 0 and not self._queue

    def spend(self) -> None:
        """A chunk goes at once."""
        self._granted -= 1

    def _count(self, size: int) -> None:
        self._bytes += size
        self._all.bytes += size

    def put(self, packed: bytes) -> None:
        """Keep a packed chunk."""
        self._text = None
        self._queue.append(packed)
        self._count(len(packed))

    def put_text(self, node: str, port: str, chunk: str, size: int) -> None:
        """Keep a chunk of text of so many bytes, joined to the one before where that is of the same stream."""
        self._count(size)
        extra = size - len(chunk)
        if self._text is None or not self._text.take(node, port, chunk):
            self._text = JoinedText(self._demand, node, port, chunk, extra)
            self._queue.append(self._text)
        else:
            self._text.extra += extra

    def put_progress(self, node: str, packed: bytes) -> None:
        """Keep the progress of a node, in place of what was kept of it."""
        before = self._progress.get(node)
        if before is not None:
            before.packed = packed
            return
        latest = self._progress[node] = Latest(node, packed)
        self._queue.append(latest)

    def put_output(self, packed: bytes) -> None:
        """Keep what a watch tells, behind all else, in place of what was kept of it before."""
        before = self._progress.pop(_OUTPUT, None)
        if before is not None:
            self._queue.remove(before)
        self._text = None
        latest = self._progress[_OUTPUT] = Latest(_OUTPUT, packed)
        self._queue.append(latest)

    def last_progress(self, node: str) -> bytes | None:
        """Take out the progress of a node of which nothing more will be said; it counts as granted."""
        latest = self._progress.pop(node, None)
        if latest is None:
            return None
        self._granted -= 1
        self._queue.remove(latest)
        return latest.pack()

    def put_replay(self, replay: Replay) -> None:
        """Keep a stream that is sent again. The cache holds its chunks, so they count for nothing here."""
        self._text = None
        self._queue.append(replay)

    def granted(self) -> Iterator[bytes]:
        """Take out what may go, packed."""
        while self._queue and self._granted > 0:
            self._granted -= 1
            head = self._queue[0]
            if head.__class__ is Replay:
                packed = head.take()
                if head.over:
                    self._queue.popleft()
            else:
                packed = self._pack(self._queue.popleft())  # type: ignore[arg-type]
            yield packed

    def _pack(self, head: bytes | JoinedText | Latest) -> bytes:
        if isinstance(head, bytes):
            self._count(-len(head))
            return head
        if isinstance(head, JoinedText):
            self._count(-head.size)
            if head is self._text:
                self._text = None
        else:
            del self._progress[head.node]
        return head.pack()

    def empty_out(self) -> Iterator[bytes | Replay]:
        """Take out everything, packed other than what is sent again."""
        while self._queue:
            head = self._queue.popleft()
            yield head if isinstance(head, Replay) else self._pack(head)

    def discard(self) -> None:
        """Forget everything; nobody needs to wait for it."""
        self._queue.clear()
        self._count(-self._bytes)
        self.waiters.wake()
