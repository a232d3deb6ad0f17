"""Ties the life of this process to that of its parent, with the kernel's help.

Called by a child about itself, early: the port server and the model workers. Does nothing where the kernel
has no such service; a life line (a pipe that closes when the parent dies) must exist as well.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def set_parent_death_signal(signal_number: int = signal.SIGKILL, *, expected_parent: int | None = None) -> bool:
    """Ask the kernel to send this process a signal when the thread that started it ends.

    The parent may have died before the call took effect, so its id is compared afterwards.

    Args:
        signal_number: what to send.
        expected_parent: process id the parent had when it started us, if known; else the parent of this
            moment.

    Returns:
        False if the parent is gone already: the caller should end itself. True otherwise.
    """
    parent = os.getppid() if expected_parent is None else expected_parent
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number), 0, 0, 0)
    return os.getppid() == parent
