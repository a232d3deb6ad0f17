"""Sends a long frame byte by byte, for ever: no answer to a ping can pass it."""

import time

from hostile import META, packed, put, serve


def go(demand):
    """Ten bytes a second."""
    for byte in packed("demand_complete", demand, "go", {"x": "y" * 10_000}, META):
        put(bytes([byte]))
        time.sleep(0.1)


serve(go)
