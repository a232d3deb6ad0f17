"""Hangs, as does a child that holds the pipe."""

import os
import time

from hostile import serve


def go(_demand):
    """Neither of them ever says a word."""
    os.fork()
    while True:
        time.sleep(60)


serve(go)
