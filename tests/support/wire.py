"""Frames in tests: messages written as the BEAM writes them, and a transport that reads what an outbox sends."""

from __future__ import annotations

from typing import Any

from graphport.wire.codec import pack, unpack
from graphport.wire.framing import FrameSplitter
from graphport.wire.limits import MAX_FRAME_BYTES


def packed(message: Any) -> bytes:
    """A message as the BEAM writes it: a demand's number takes eight bytes, whatever it is."""
    whole = pack(message)
    if not (isinstance(message, list) and message[:1] == ["demand_async"] and len(message) > 1):
        return whole
    number = message[1]
    if type(number) is not int or not 0 <= number < 2**64:
        return whole
    before = len(pack(message[:1]))
    return whole[:before] + b"\xcf" + number.to_bytes(8, "big") + whole[before + len(pack(number)) :]


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
