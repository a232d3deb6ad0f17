"""Says that it is another process than it is."""

from hostile import READY, say, serve

serve(hello=lambda _facts: say("ready", {**READY, "os_pid": 1}))
