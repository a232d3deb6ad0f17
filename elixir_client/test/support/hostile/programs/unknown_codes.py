"""Fails with errors whose fields have wrong types, or codes nobody knows."""

from hostile import complete, say, serve, silent


def go(demand):
    """An error must never fail itself."""
    worst = {"code": "\u2603" * 10_000, "message": [], "node_id": 5, "details": [7], "retry_after_ms": "soon", "x": {}}
    for error in ({}, {"code": 5}, worst, {"code": None}, {"code": "too_sunny", "details": {"code": 7}}):
        say("demand_error", *silent.popitem(), error)
    complete(demand)


serve(go)
