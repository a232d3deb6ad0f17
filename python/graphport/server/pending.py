"""What waits to be sent and is not packed yet.

Text that more may be joined to, the latest word on a node's progress, and a cached stream that is sent again; each
takes no more memory than it must, however small the pieces it is made of. Must not send anything itself. Called by
`outbox`, `window` and `bulk`, on the loop's thread.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.sink import REPLAY_CHARACTERS
from graphport.core.errors import WireError
from graphport.graph.values import size_of
from graphport.wire import messages
from graphport.wire.limits import MAX_VALUE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

# Text is joined up to this many characters, and what comes after that may have as many once more: in UTF-8 it is still
# no more than one message carries.
JOINED_CHARACTERS: Final = 30_000


class JoinedText:
    """Text chunks of one stream that will travel as one.

    Attributes:
        extra: so many bytes more than characters has it in UTF-8; whoever joins text that is not ASCII adds to it.
    """

    __slots__ = ("_text", "_write", "characters", "demand", "extra", "node", "port")

    def __init__(self, demand: int, node: str, port: str, chunk: str, extra: int) -> None:
        self.demand, self.node, self.port = demand, node, port
        # A list of the chunks would take ten times as much where they are short.
        self._text = io.StringIO()
        self._write = self._text.write
        self.characters = self._write(chunk)
        self.extra = extra

    @property
    def size(self) -> int:
        """Bytes of it in UTF-8."""
        return self.characters + self.extra

    def take(self, node: str, port: str, chunk: str) -> bool:
        """Join a chunk, if it is of the same stream and there is room."""
        if (
            self.characters >= JOINED_CHARACTERS
            or len(chunk) > JOINED_CHARACTERS
            or node != self.node
            or port != self.port
        ):
            return False
        self.characters += self._write(chunk)
        return True

    def pack(self) -> bytes:
        """The text as a message."""
        return messages.node_stream(self.demand, self.node, self.port, self._text.getvalue())


class Latest:
    """The latest that a node said of its progress, in the place of the first that has not been sent.

    Attributes:
        node: whose.
        packed: the message.
        size: bytes that it counts for while it waits.
        sent: it does not wait any more.
    """

    __slots__ = ("node", "packed", "sent", "size")

    def __init__(self, node: str, packed: bytes) -> None:
        self.node = node
        self.packed = packed
        self.size = len(packed)
        self.sent = False

    def pack(self) -> bytes:
        """The message, which is final now."""
        self.sent = True
        return self.packed


class Replay:
    """A stream that was kept with a cached result, on its way to one demand. The chunks are shared, not copied.

    Attributes:
        size: about how many bytes it has altogether.
    """

    __slots__ = ("_at", "_chunks", "_demand", "_node", "_place", "size")

    def __init__(self, demand: int, node: str, chunks: Sequence[tuple[str, Any]]) -> None:
        """Take a stream.

        Raises:
            WireError: one of its chunks has no form on the wire. Nothing is found out later, when it is too late.
        """
        self._demand, self._node, self._chunks = demand, node, chunks
        self._place = self._at = 0
        self.size = size_of(chunks)
        for port, chunk in chunks:
            if type(chunk) is str:
                utf8_size(chunk)
            else:
                packed_chunk(demand, node, port, chunk)

    @property
    def over(self) -> bool:
        """Whether all of it was taken."""
        return self._place == len(self._chunks)

    def take(self) -> bytes:
        """The next message, of text at most `REPLAY_CHARACTERS`."""
        port, chunk = self._chunks[self._place]
        if type(chunk) is str:
            start = self._at
            self._at += REPLAY_CHARACTERS
            if self._at >= len(chunk):
                self._place, self._at = self._place + 1, 0
            chunk = chunk[start : start + REPLAY_CHARACTERS]
        else:
            self._place += 1
        return messages.node_stream(self._demand, self._node, port, chunk)


def utf8_size(text: str) -> int:
    """Bytes of a text in UTF-8.

    Raises:
        WireError: `unencodable_value` for a lone surrogate, in the node that made it.
    """
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise WireError(f"the text has no form on the wire: {error}", code="unencodable_value") from error


def packed_chunk(demand: int, node: str, port: str, chunk: Any) -> bytes:
    """A chunk as a message.

    Raises:
        WireError: `unencodable_value`, or `too_large`.
    """
    packed = messages.node_stream(demand, node, port, chunk)
    if len(packed) > MAX_VALUE_BYTES:
        raise WireError(f"a chunk of {len(packed)} bytes; at most {MAX_VALUE_BYTES} travel in one", code="too_large")
    return packed
