"""Says that it has read more than was ever written."""

from hostile import say, serve

serve(lambda _demand: say("credit", 10**6, 10**12))
