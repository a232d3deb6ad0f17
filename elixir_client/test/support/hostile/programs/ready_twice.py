"""Says ready a second time."""

from hostile import READY, say, serve

serve(lambda _demand: say("ready", READY))
