"""Dies with half a frame in the pipe."""

import os

from hostile import META, packed, put, serve


def go(demand):
    """The first half is never of use."""
    put(packed("demand_complete", demand, "go", {"x": "y" * 100_000}, META)[:-50_000])
    os._exit(7)


serve(go)
