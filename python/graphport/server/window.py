"""What a demand with a window still has to send: chunks that await a grant, and its last message behind them.

Text of one stream is joined while it waits. Must not send anything itself. Called by `outbox`, on the loop's thread.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from graphport.server.waiters import Waiters
from graphport.wire import messages

if TYPE_CHECKING:
    from collections.abc import Iterator

# Text is joined up to this many characters, and what comes after that may have as many once more.
JOINED_CHARACTERS: Final = 30_000
# A demand that keeps more than this is behind.
_KEPT_BYTES: Final = 262_144


class JoinedText:
    """Text chunks of one stream that will travel as one."""

    __slots__ = ("characters", "demand", "node", "parts", "port")

    def __init__(self, demand: int, node: str, port: str, chunk: str) -> None:
        self.demand, self.node, self.port = demand, node, port
        self.parts = [chunk]
        self.characters = len(chunk)

    def take(self, node: str, port: str, chunk: str) -> bool:
        """Join a chunk, if it is of the same stream and there is room."""
        if (
            self.characters >= JOINED_CHARACTERS
            or len(chunk) > JOINED_CHARACTERS
            or node != self.node
            or port != self.port
        ):
            return False
        self.parts.append(chunk)
        self.characters += len(chunk)
        return True

    def pack(self) -> bytes:
        """The chunk as a message."""
        return messages.node_stream(self.demand, self.node, self.port, "".join(self.parts))


class Window:
    """One demand's.

    Attributes:
        waiters: to be told when the demand is no longer behind.
        last: its last message, once there is one.
    """

    __slots__ = ("_bytes", "_demand", "_granted", "_queue", "last", "waiters")

    def __init__(self, demand: int, chunks: int) -> None:
        """A window that lets so many chunks through without a grant."""
        self._demand = demand
        self._granted = chunks
        self._queue: deque[bytes | JoinedText] = deque()
        self._bytes = 0
        self.last: bytes | None = None
        self.waiters = Waiters()

    @property
    def behind(self) -> bool:
        """Whether so much is kept that nodes should be held back."""
        return self._bytes > _KEPT_BYTES

    @property
    def empty(self) -> bool:
        """Whether no chunk is kept."""
        return not self._queue

    def grant(self, chunks: int) -> None:
        """Let more chunks through."""
        self._granted += chunks

    def put(self, packed: bytes) -> None:
        """Keep a packed chunk."""
        self._queue.append(packed)
        self._bytes += len(packed)

    def put_text(self, node: str, port: str, chunk: str) -> None:
        """Keep a chunk of text, joined to the one before where that is of the same stream."""
        self._bytes += len(chunk)
        before = self._queue[-1] if self._queue else None
        if not (isinstance(before, JoinedText) and before.take(node, port, chunk)):
            self._queue.append(JoinedText(self._demand, node, port, chunk))

    def granted(self) -> Iterator[bytes]:
        """Take out the chunks that may go, packed."""
        while self._queue and self._granted:
            self._granted -= 1
            head = self._queue.popleft()
            if isinstance(head, JoinedText):
                self._bytes -= head.characters
                yield head.pack()
            else:
                self._bytes -= len(head)
                yield head
