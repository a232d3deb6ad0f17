"""Reads nothing any more, but goes on talking."""

import time

from hostile import say, serve


def go(_demand):
    """Answers to pings that it never read."""
    while True:
        say("pong", 0)
        time.sleep(0.01)


serve(go)
