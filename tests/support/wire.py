"""A transport for an outbox under test, which reads the frames that it is given."""

from __future__ import annotations

from typing import Any

from graphport.wire.codec import unpack
from graphport.wire.framing import FrameSplitter
from graphport.wire.limits import MAX_FRAME_BYTES


class Wire:
    """A transport that takes everything at once, unless told otherwise."""

    def __init__(self) -> None:
        self.backlog = 0
        self.writes = 0
        self.payload_bytes = 0
        self.messages: list[Any] = []
        self._splitter = FrameSplitter()

    def start(self, on_bytes: Any, on_end: Any) -> None:
        raise NotImplementedError

    def on_room(self, callback: Any) -> None:
        self.room = callback

    def write(self, pieces: list[bytes]) -> None:
        self.writes += 1
        for payload in self._splitter.feed(b"".join(pieces)):
            assert len(payload) <= MAX_FRAME_BYTES
            self.payload_bytes += len(payload)
            value = unpack(payload)
            self.messages += [value] if isinstance(value[0], str) else value
