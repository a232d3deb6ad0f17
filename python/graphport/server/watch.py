"""Makes sure that the engine does not outlive its pipe, whatever its threads are doing.

A thread polls the wire for hang-up: the BEAM is gone or has closed the Erlang port. The loop then has `FLUSH_S` to end
in good order, after which the process is ended at once. A C call that never lets go of the interpreter stops this
thread too; the parent-death signal and the BEAM's own kill remain. Called by `server.serve`.
"""

from __future__ import annotations

import os
import select
import threading
from time import sleep  # nodes may replace the one in the module
from typing import Final

FLUSH_S: Final = 1.0


def watch_hang_up(fd: int) -> None:
    """Watch `fd`, the read end of the wire, from a daemon thread."""
    threading.Thread(target=_watch, args=(fd,), name="graphport-hang-up", daemon=True).start()


def _watch(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, 0)  # hang-up and error are reported always
    poll.poll()
    end_soon()


def end_soon() -> None:
    """Give the loop `FLUSH_S` to end the process in good order, then end it. For a thread that sees the wire end."""
    sleep(FLUSH_S)
    os._exit(0)
