"""Speaks a protocol of the future."""

from hostile import READY, say, serve

serve(hello=lambda _facts: say("ready", {**READY, "protocol": 2}))
