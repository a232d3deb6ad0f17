"""Answers in a frame that is one byte too long."""

from hostile import META, framed, pack, put, serve


def go(demand):
    """Good MessagePack, and nothing else wrong with it."""
    short = len(pack(["demand_complete", demand, "go", {"x": ""}, META]))
    put(framed(pack(["demand_complete", demand, "go", {"x": "y" * (1_048_577 - short)}, META])))


serve(go)
