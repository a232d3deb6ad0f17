"""Every limit of the wire, with its unit. `PROTOCOL.md` is where they are promised."""

from __future__ import annotations

from typing import Final

PROTOCOL_VERSION: Final = 1
MAX_FRAME_BYTES: Final = 1_048_576
MAX_BIG_INT_BYTES: Final = 4_096
MAX_ID: Final = 2**63 - 1

CREDIT_EVERY_FRAMES: Final = 64
CREDIT_EVERY_BYTES: Final = 262_144
READ_WINDOW_BYTES: Final = 4_194_304
