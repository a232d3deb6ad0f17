"""Ends, and leaves a child that holds the pipe and ignores whatever is said to it."""

import os
import signal
import time

from hostile import serve


def go(_demand):
    """The child knows nothing of the pipe it keeps open."""
    if os.fork() == 0:
        for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(one, signal.SIG_IGN)
        while True:
            time.sleep(60)
    os._exit(0)


serve(go)
