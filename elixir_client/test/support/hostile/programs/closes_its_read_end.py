"""Closes the pipe to it, and answers on."""

import os
import time

from hostile import complete, serve


def go(_demand):
    """It hears of nothing any more, not even of a ping."""
    os.close(3)
    while True:
        complete(1)
        time.sleep(0.01)


serve(go)
