"""Floods the log with long lines and hostile metadata."""

from hostile import complete, framed, pack, put, serve


def go(demand):
    """More than is kept waiting, in lines that are far too long."""
    meta = {f"key{n}": ["\u2603"] * 10 for n in range(100)}
    for _ in range(40):
        put(framed(pack([["log", "debug", "x" * 1000, "l" * 2_000, meta] for _ in range(20)])))
    put(framed(pack(["log", "debug", "x" * 100_000, "l" * 200_000, {}])))
    complete(demand)


serve(go)
