"""Decodes the chunked transfer coding of HTTP/1.1, however the bytes are cut.

Pure: no I/O. Used by `local_transport`.
"""

from __future__ import annotations

from typing import Final

_MAX_LINE_BYTES: Final = 4096


class ChunkedDecoder:
    """Feed it the body as it comes from the socket, get the content.

    Attributes:
        done: the last chunk has been seen; a connection that ends before was cut off.
    """

    __slots__ = ("_buffer", "_missing", "done")

    def __init__(self) -> None:
        self._buffer = b""
        self._missing = 0  # bytes of the open chunk still to come, its closing CRLF included
        self.done = False

    def feed(self, data: bytes) -> bytes:
        """The content that `data` brings, which may be empty.

        Raises:
            ValueError: if the bytes break the coding.
        """
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        parts = []
        position = 0
        while not self.done and position < len(data):
            if self._missing:
                taken = min(self._missing, len(data) - position)
                content = min(self._missing - 2, taken)
                if content > 0:
                    parts.append(data[position : position + content])
                self._missing -= taken
                position += taken
                continue
            end = data.find(b"\r\n", position)
            if end < 0:
                if len(data) - position > _MAX_LINE_BYTES:
                    raise ValueError("a chunk's size line is too long")
                self._buffer = data[position:]
                break
            size = int(data[position:end].split(b";", 1)[0], 16)
            if size < 0:
                raise ValueError("a chunk's size is negative")
            position = end + 2
            self._missing = size + 2
            self.done = size == 0
        return parts[0] if len(parts) == 1 else b"".join(parts)
