"""Becomes a daemon: a child goes on under another process id."""

import os

from hostile import serve

if os.fork() == 0:
    serve()
os._exit(0)
