"""Sends half a frame, and then nothing."""

import time

from hostile import META, packed, put, serve


def go(demand):
    """Nothing can follow it but its other half."""
    put(packed("demand_complete", demand, "go", {"x": "y" * 1_000}, META)[:-500])
    while True:
        time.sleep(60)


serve(go)
