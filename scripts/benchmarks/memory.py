"""How much memory this process held at most, and how much a piece of work makes. Called by `peers.measure`."""

from __future__ import annotations

import gc
import re
import resource
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable

MIB: Final = 1_048_576
_STATUS: Final = Path("/proc/self/status")


def peak() -> int:
    """Bytes this process held at most. Under Linux `ru_maxrss` may be its parent's, so the kernel's mark is read."""
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        found = None
    if found is not None:
        return int(found[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


async def made(work: Awaitable[Any]) -> int:
    """Bytes of Python's memory that a piece of work held at most, beyond what was held before it.

    What the process holds would not show it: memory that building a graph set free is used again.
    """
    gc.collect()
    tracemalloc.start()
    try:
        await work
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
