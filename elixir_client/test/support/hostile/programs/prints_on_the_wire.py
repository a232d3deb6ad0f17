"""Writes a traceback to the wire: its first four bytes are a length of 1.4 GB."""

import os

from hostile import put, serve


def go(_demand):
    """Then ends, as a program with a traceback does."""
    put(b"Traceback (most recent call last):\n" * 100)
    os._exit(1)


serve(go)
