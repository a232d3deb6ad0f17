"""Sends every frame byte by byte, a moment between two."""

import time

from hostile import META, on_ping, packed, put, serve


def drip(data):
    """As slow as a pipe can be."""
    for at in range(len(data)):
        put(data[at : at + 1])
        time.sleep(0.001)


def go(demand):
    """Slow, but whole."""
    drip(packed("node_stream", demand, "go", "p", "x"))
    drip(packed("demand_complete", demand, "go", {}, META))


serve(go, ping=on_ping)
