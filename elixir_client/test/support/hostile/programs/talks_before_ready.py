"""Says all kinds of things before it is ready."""

from hostile import READY, complete, say, serve


def hello(_facts):
    """Nothing of this was asked for."""
    say("credit", 0, 0)
    say("pong", 1)
    say("log", "info", "early", "bird", {})
    say("weather", "sunny")
    say("reply", 1, None)
    complete(2)
    say("ready", READY)


serve(hello=hello)
