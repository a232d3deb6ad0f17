"""What a worker process of ours needs to end with its engine: a watched standard input, SIGTERM, a clean socket.

Called by the programs in `inference.workers` about themselves. Must import nothing that takes time.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from typing import TYPE_CHECKING, NoReturn

from graphport.process.parent_death import set_parent_death_signal

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


class WorkerLife:
    """The life of the process it is made in, which must be a worker. Made on the main thread, first of all."""

    def __init__(self, socket_path: str | None, parent: int) -> None:
        """Tie the process to its engine; from now on it is killed when the engine dies or its standard input closes.

        Args:
            socket_path: UNIX socket to remove, with its folder, at the end.
            parent: process id of the engine; if it has gone already, this process ends at once.
        """
        self._socket_path = socket_path
        self._parent = parent
        # Called before the process ends.
        self.before_end: Callable[[], None] = _nothing
        # Set when the end has begun, perhaps on another thread.
        self.ending = False
        if not set_parent_death_signal(signal.SIGKILL, expected_parent=parent):
            self.leave(0)
        # C code and libraries print to descriptor 1 too; the announcement gets a descriptor of its own.
        self._announcement = os.dup(1)
        os.dup2(2, 1)
        threading.Thread(target=self._watch_life_line, daemon=True).start()

    def end_on_sigterm(self) -> None:
        """End cleanly on SIGTERM, which from now on is also what the engine's death brings.

        Only once the main thread is free to run the handler: native code that loads a model may hold it.
        """

        def end(_number: int, _frame: FrameType | None) -> None:
            self.leave(0)

        signal.signal(signal.SIGTERM, end)
        set_parent_death_signal(signal.SIGTERM, expected_parent=self._parent)

    def announce(self, listening: str) -> None:
        """Say where the worker listens; the engine waits for this line."""
        os.write(self._announcement, json.dumps({"listening": listening}).encode() + b"\n")

    def leave(self, status: int) -> NoReturn:
        """End without destructors, which may wait for work in progress; remove the socket and its folder."""
        self.ending = True
        self.before_end()
        if self._socket_path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._socket_path)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(self._socket_path))
        os._exit(status)

    def _watch_life_line(self) -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        self.leave(0)


def _nothing() -> None:
    return
