"""Splits a stream of bytes into server-sent events, however the bytes are cut.

Pure: no I/O. Knows only what model servers use: `data` fields, comments, and LF or CRLF line ends. Used by
`openai_chat`.
"""

from __future__ import annotations

from typing import Final

MAX_EVENT_BYTES: Final = 4 * 1024 * 1024


class SseSplitter:
    """Feed it bytes, get the data of each event that is complete."""

    __slots__ = ("_data", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of all events that `chunk` completes, in order.

        Raises:
            ValueError: if an event grows beyond `MAX_EVENT_BYTES`.
        """
        buffer = self._rest + chunk if self._rest else chunk
        # An event ends with an empty line, so without one nothing can be complete and nothing need be split.
        *lines, self._rest = buffer.split(b"\n")
        events = []
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif not line and self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data = []
        if len(self._rest) + sum(map(len, self._data)) > MAX_EVENT_BYTES:
            raise ValueError(f"an event is longer than {MAX_EVENT_BYTES} bytes")
        return events
