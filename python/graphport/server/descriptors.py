"""Takes the wire's file descriptors out of everybody's reach, and catches what nodes write to fds 1 and 2.

Runs before any user code is imported. Afterwards no print, C library or forked child can corrupt or hold the wire.
Called by `app.engine` and `graphport.erlport`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

PIPE_BYTES: Final = 1_048_576
_FIRST_PRIVATE_FD: Final = 10


class WireFds(NamedTuple):
    """The wire: read frames from one, write them to the other."""

    read: int
    write: int


class CapturedFds(NamedTuple):
    """Read ends of the pipes that fds 1 and 2 now lead to."""

    stdout: int
    stderr: int


def take_wire(*, stdio: bool) -> WireFds:
    """Move the wire to private fds and put /dev/null in its place.

    Args:
        stdio: the wire is fds 0 and 1; otherwise 3 and 4.

    Raises:
        OSError: the process was not started with those fds open.
    """
    theirs = WireFds(0, 1) if stdio else WireFds(3, 4)
    moved = copy_wire(theirs)
    silence(theirs)
    if not stdio:
        for fd in moved:
            os.set_blocking(fd, False)
            _enlarge(fd)
    return moved


def copy_wire(theirs: WireFds) -> WireFds:
    """The same wire by private fds, which no child process inherits and a forked one loses.

    Raises:
        OSError: one of the fds is not open.
    """
    moved = WireFds(*(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_PRIVATE_FD) for fd in theirs))
    os.register_at_fork(after_in_child=lambda: _let_go(moved))
    return moved


def silence(fds: Collection[int]) -> None:
    """Put /dev/null in the place of these fds."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in fds:
        os.dup2(null, fd)
    if null not in fds:
        os.close(null)


def _let_go(wire: WireFds) -> None:
    """In a forked child: the pipe ends when the engine does, and nothing the child does can reach it."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in wire:
        os.dup2(null, fd, inheritable=False)
    os.close(null)


def capture_output() -> CapturedFds:
    """Lead fds 1 and 2 into pipes of our own.

    Their write ends never block: a flood from C is dropped when nobody reads fast enough, instead of a deadlock.
    """
    ends = []
    for fd in (1, 2):
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        _enlarge(write)
        os.dup2(write, fd, inheritable=True)
        os.close(write)
        ends.append(fcntl.fcntl(read, fcntl.F_DUPFD_CLOEXEC, _FIRST_PRIVATE_FD))
        os.close(read)
    return CapturedFds(*ends)


def _enlarge(fd: int) -> None:
    # Linux only, and limited by the system for unprivileged users; a smaller pipe works too.
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
