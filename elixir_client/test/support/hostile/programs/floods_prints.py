"""Writes 8 MiB to stdout and to stderr."""

import os

from hostile import complete, serve


def go(demand):
    """Nobody reads them: neither may block."""
    for _ in range(128):
        os.write(1, b"o" * 65_536)
        os.write(2, b"e" * 65_536)
    complete(demand)


serve(go)
