"""Gets ready without saying as whom."""

from hostile import say, serve

serve(hello=lambda _facts: say("ready", {"protocol": 1}))
