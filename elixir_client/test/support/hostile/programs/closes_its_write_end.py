"""Closes the pipe from it, and reads on."""

import os

from hostile import exactly, serve


def go(_demand):
    """It may hear, but never answer."""
    os.close(4)
    while True:
        exactly(1)


serve(go)
