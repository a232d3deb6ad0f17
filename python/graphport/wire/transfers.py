"""Puts messages together that come in parts.

Bounded: how long one may be, how many are under way, and how much they hold together. Pure. Called by
`server.connection`, which answers what is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphport.core.errors import DemandStopped, WireError
from graphport.wire.limits import MAX_TRANSFER_BYTES, MAX_TRANSFERS, MAX_VALUE_BYTES

if TYPE_CHECKING:
    from graphport.wire.messages import Part


class Transfers:
    """The messages of one pipe that have begun to come.

    Attributes:
        bytes: what all of them hold.
    """

    def __init__(self) -> None:
        self._parts: dict[int, list[bytes]] = {}
        self._sizes: dict[int, int] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._parts)

    def take(self, part: Part) -> bytes | None:
        """Take a part.

        Returns:
            The packed message, if this was its last part.

        Raises:
            GraphportError: why the transfer was given up: `bad_message`, `too_large`, `overloaded`.
        """
        parts = self._parts.get(part.transfer)
        if parts is None:
            if part.seq:
                return None  # of a transfer that was given up
            if len(self._parts) >= MAX_TRANSFERS:
                raise DemandStopped(f"more than {MAX_TRANSFERS} long messages at once; try again", code="overloaded")
            parts = self._parts[part.transfer] = []
            self._sizes[part.transfer] = 0
        elif part.seq != len(parts):
            self.forget(part.transfer)
            raise WireError(f"part: expected number {len(parts)}, got {part.seq}")
        self._count(part)
        if not part.last:
            parts.append(part.data)
            return None
        self.forget(part.transfer)
        return b"".join((*parts, part.data))

    def _count(self, part: Part) -> None:
        size = self._sizes[part.transfer] = self._sizes[part.transfer] + len(part.data)
        self.bytes += len(part.data)
        if size > MAX_VALUE_BYTES:
            self.forget(part.transfer)
            raise WireError(f"a message of more than {MAX_VALUE_BYTES} bytes", code="too_large")
        if self.bytes > MAX_TRANSFER_BYTES:
            self.forget(part.transfer)
            raise DemandStopped(
                f"long messages of more than {MAX_TRANSFER_BYTES} bytes at once; try again", code="overloaded"
            )

    def forget(self, transfer: int) -> bool:
        """Give a transfer up; returns whether it was under way."""
        if self._parts.pop(transfer, None) is None:
            return False
        self.bytes -= self._sizes.pop(transfer)
        return True
