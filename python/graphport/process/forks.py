"""Ends the children that this process forks when it ends itself, however that happens.

A forked child loses the parent-death signal, and that signal would come when the *thread* that forked ends. So the
kernel is asked otherwise: each child opens the read end of a pipe for itself and has SIGKILL sent to it when the last
writer, this process, is gone. No thread of the child takes part: it also ends while it is stopped, or in a C call. A
child that becomes another program (`subprocess`, `os.exec*`) or closes all its descriptors, as a daemon does, is left
alone. Linux only; elsewhere it does nothing. Called by the engine about itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
from typing import Final

_FIRST_PRIVATE_FD: Final = 10
_F_SETSIG: Final = 10  # not in the module fcntl


def end_forks_with_us() -> None:
    """From now on, forked children are killed when this process ends."""
    if sys.platform == "linux":
        line = _LifeLine()
        os.register_at_fork(after_in_child=line.tie)


class _LifeLine:
    """A pipe whose write end only the process that made it has."""

    def __init__(self) -> None:
        ends = os.pipe()
        self._read, self._write = (_moved(fd) for fd in ends)

    def tie(self) -> None:
        """In the child: be killed when the writer is gone. A child that is out of descriptors lives on."""
        with contextlib.suppress(OSError):
            if self._write >= 0:
                os.close(self._write)
                self._write = -1
            # Of its own, because a description that is shared has one receiver of signals only.
            mine = os.open(f"/proc/self/fd/{self._read}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.fcntl(mine, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(mine, _F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(mine, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
            poll = select.poll()
            poll.register(mine, 0)
            if poll.poll(0):  # it was gone before the signal was asked for
                os._exit(0)


def _moved(fd: int) -> int:
    """The same by a number that a node which closes 3, 4 or 5 does not meet."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_PRIVATE_FD)
    os.close(fd)
    return moved
