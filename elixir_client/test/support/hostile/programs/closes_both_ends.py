"""Closes its pipes, and lives on."""

import os
import time

from hostile import serve


def go(_demand):
    """An orphan, if nobody sees to it."""
    os.close(3)
    os.close(4)
    while True:
        time.sleep(60)


serve(go)
