"""Prints on stdout and stderr, as a library might."""

import os
import sys

from hostile import complete, serve


def go(demand):
    """Through Python and past it."""
    print("\0\0\0\1x", flush=True)  # noqa: T201 - the point of it
    sys.stderr.write("Traceback: no such luck\n")
    os.write(1, b"\xff" * 100)
    os.write(2, b"\xff" * 100)
    complete(demand)


serve(go)
