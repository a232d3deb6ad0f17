"""Every limit of the wire, with its unit. `PROTOCOL.md` is where they are promised."""

from __future__ import annotations

from typing import Final

PROTOCOL_VERSION: Final = 1
MAX_FRAME_BYTES: Final = 1_048_576
MAX_BIG_INT_BYTES: Final = 4_096
MAX_ID: Final = 2**63 - 1
MAX_VALUE_BYTES: Final = 268_435_456
# A packed message of more bytes travels in parts, each of at most so many.
PART_BYTES: Final = 262_144
# Transfers to the engine under way at once.
MAX_TRANSFERS: Final = 1_024
MAX_TRANSFER_BYTES: Final = 1_073_741_824
# Nodes that one demand may name.
MAX_TARGETS: Final = 1_000

CREDIT_EVERY_FRAMES: Final = 64
CREDIT_EVERY_BYTES: Final = 262_144
READ_WINDOW_BYTES: Final = 4_194_304
# Of this, so much is for parts: other messages pass them.
BULK_WINDOW_BYTES: Final = 3_145_728

# Calls to the host are numbered from here, so that no demand or request has their numbers. Chunks that a call may send
# before they are taken.
FIRST_CALL: Final = 2**62
HOST_WINDOW_CHUNKS: Final = 32
