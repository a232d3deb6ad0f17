"""Writes long lines with hostile metadata to the log."""

from hostile import complete, framed, pack, put, serve


def go(demand):
    """None of it may become an atom, or end a handler."""
    meta = {f"key{n}": ["\u2603"] * 10 for n in range(100)}
    for _ in range(15):
        put(framed(pack([["log", "debug", "x" * 1000, "l" * 2_000, meta] for _ in range(10)])))
    put(framed(pack(["log", "debug", "x" * 100_000, "l" * 200_000, {}])))
    complete(demand)


serve(go)
