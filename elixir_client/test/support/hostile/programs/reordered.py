"""Answers what came last first."""

from hostile import complete, serve, silent


def go(demand):
    """Everything that is open, backwards."""
    complete(demand)
    for late in sorted(silent, reverse=True):
        complete(late, silent.pop(late))


serve(go)
