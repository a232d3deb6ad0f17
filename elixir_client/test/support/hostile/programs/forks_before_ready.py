"""Becomes a daemon: a child goes on under another process id."""

import os

from hostile import READY, say, serve

if os.fork() == 0:
    serve(hello=lambda _facts: say("ready", {**READY, "os_pid": os.getpid()}))
os._exit(0)
