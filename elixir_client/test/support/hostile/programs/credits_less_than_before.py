"""Says that it has read less than it said before."""

from hostile import counts, say, serve


def go(_demand):
    """Totals never fall."""
    say("credit", counts["frames"], counts["bytes"])
    say("credit", counts["frames"] - 1, counts["bytes"] - 1)


serve(go)
