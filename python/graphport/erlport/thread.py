"""An event loop on a thread of its own, because ErlPort's main thread blocks in its own read.

Ends with the process: ErlPort returns from its read when the port closes, and the interpreter then stops the loop.
Called by `calls`.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from typing import TYPE_CHECKING, Final

from graphport.server.loop import EXIT_BROKEN, new_loop, run_to_its_end

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

_STOP_S: Final = 1.0

_log = logging.getLogger("graphport.erlport")


class LoopThread:
    """Runs a coroutine to its end.

    Attributes:
        loop: the event loop.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        """Make a loop, not yet running.

        Args:
            stop: called on the loop's thread when the interpreter ends; makes the coroutine return.
        """
        self.loop: asyncio.AbstractEventLoop = new_loop()
        self._stop = stop

    def run(self, main: Callable[[], Coroutine[None, None, int]]) -> None:
        """Start the thread. What `main` returns other than 0 ends the process with that status."""
        thread = threading.Thread(target=self._run, args=(main,), name="graphport-loop", daemon=True)
        atexit.register(self._end, thread)
        thread.start()

    def _run(self, main: Callable[[], Coroutine[None, None, int]]) -> None:
        try:
            status = run_to_its_end(self.loop, main())
        except Exception:  # the thread's border: a process without its engine is of no use
            _log.exception("the engine's loop failed")
            status = EXIT_BROKEN
        if status:
            os._exit(status)

    def _end(self, thread: threading.Thread) -> None:
        if thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop)
            thread.join(_STOP_S)
