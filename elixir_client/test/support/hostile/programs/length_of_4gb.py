"""Announces a frame of 4 GB, sends a little of it, and then nothing."""

import struct
import time

from hostile import put, serve


def go(_demand):
    """Whoever reserves what is announced has a problem."""
    put(struct.pack(">I", 0xFFFFFFFF) + b"x" * 1_000)
    while True:
        time.sleep(60)


serve(go)
