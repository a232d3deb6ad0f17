"""Puts messages together that come in parts.

Bounded: how long one may be, how many are under way, and how much they hold together. Each is collected in a memory
mapping of its own: of 256 MiB on the heap, what lies between may keep a hundred. Called by `server.connection`, which
answers what is refused.
"""

from __future__ import annotations

import mmap
import sys
from typing import TYPE_CHECKING, Final

from graphport.core.errors import DemandStopped, WireError
from graphport.wire.limits import MAX_TRANSFER_BYTES, MAX_TRANSFERS, MAX_VALUE_BYTES

if TYPE_CHECKING:
    from graphport.wire.messages import Part

# Pages that nothing was written to take no memory.
_FIRST_MAPPED_BYTES: Final = 1_048_576


class _Collected:
    """The bytes of one message so far, and how many parts they came in."""

    __slots__ = ("_mapped", "parts", "size")

    def __init__(self) -> None:
        self._mapped: mmap.mmap | None = None
        self.parts = self.size = 0

    def add(self, data: bytes) -> None:
        """Raises: OSError: there is no memory for it."""
        end = self.size + len(data)
        if self._mapped is None:
            self._mapped = _mapping(max(end, _FIRST_MAPPED_BYTES))
        elif end > len(self._mapped):
            self._mapped = _larger(self._mapped, max(end, 2 * len(self._mapped)), self.size)
        self._mapped[self.size : end] = data
        self.size = end
        self.parts += 1

    def whole(self) -> memoryview:
        return memoryview(self._mapped or b"")[: self.size]


def _mapping(size: int) -> mmap.mmap:
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _larger(mapped: mmap.mmap, size: int, used: int) -> mmap.mmap:
    if sys.platform == "linux":
        mapped.resize(size)
        return mapped
    larger = _mapping(size)
    larger[:used] = memoryview(mapped)[:used]
    return larger


class Transfers:
    """The messages of one pipe that have begun to come.

    Attributes:
        bytes: what all of them hold.
    """

    def __init__(self) -> None:
        self._collected: dict[int, _Collected] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._collected)

    def take(self, part: Part) -> memoryview | None:
        """Take a part.

        Returns:
            The packed message, if this was its last part.

        Raises:
            GraphportError: why the transfer was given up: `bad_message`, `too_large`, `overloaded`.
        """
        collected = self._collected.get(part.transfer)
        if collected is None:
            if part.seq:
                return None  # of a transfer that was given up
            if len(self._collected) >= MAX_TRANSFERS:
                raise DemandStopped(f"more than {MAX_TRANSFERS} long messages at once; try again", code="overloaded")
            collected = self._collected[part.transfer] = _Collected()
        elif part.seq != collected.parts:
            self.forget(part.transfer)
            raise WireError(f"part: expected number {collected.parts}, got {part.seq}")
        self._check_room(part, collected.size + len(part.data))
        try:
            collected.add(part.data)
        except OSError as error:
            self.forget(part.transfer)
            raise DemandStopped(f"no memory for a long message: {error.strerror}", code="overloaded") from error
        self.bytes += len(part.data)
        if not part.last:
            return None
        self.forget(part.transfer)
        return collected.whole()

    def _check_room(self, part: Part, size: int) -> None:
        if size > MAX_VALUE_BYTES:
            self.forget(part.transfer)
            raise WireError(f"a message of more than {MAX_VALUE_BYTES} bytes", code="too_large")
        if self.bytes + len(part.data) > MAX_TRANSFER_BYTES:
            self.forget(part.transfer)
            raise DemandStopped(
                f"long messages of more than {MAX_TRANSFER_BYTES} bytes at once; try again", code="overloaded"
            )

    def forget(self, transfer: int) -> bool:
        """Give a transfer up; returns whether it was under way."""
        collected = self._collected.pop(transfer, None)
        if collected is None:
            return False
        self.bytes -= collected.size
        return True
