"""Asks the app for one run again and again under the same number."""

from hostile import complete, framed, pack, put, serve


def go(demand):
    """Ten times in one frame, then its own answer."""
    call = ["host_call", 2**62, demand, "go", "letters", {"text": "ab", "to": None}]
    put(framed(pack([call] * 10)))
    complete(demand)


serve(go)
