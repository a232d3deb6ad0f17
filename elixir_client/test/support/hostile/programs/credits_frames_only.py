"""Says that it has read a million frames in a few bytes."""

from hostile import counts, say, serve

serve(lambda _demand: say("credit", 10**6, counts["bytes"]))
