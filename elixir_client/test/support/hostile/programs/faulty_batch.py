"""Sends a batch whose last message is malformed."""

from hostile import framed, pack, put, serve

serve(lambda _demand: put(framed(pack([["pong", 1], ["weather", "sunny"], ["pong", "one"]]))))
