"""Tries to leave its session and its process group, and then hangs."""

import contextlib
import os
import time

from hostile import serve


def go(_demand):
    """Whoever kills by group alone misses it."""
    with contextlib.suppress(OSError):
        os.setsid()
    with contextlib.suppress(OSError):
        os.setpgid(0, os.getppid())
    while True:
        time.sleep(60)


serve(go)
