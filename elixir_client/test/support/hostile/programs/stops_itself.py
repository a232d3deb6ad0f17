"""Stops itself with a signal that cannot be refused."""

import os
import signal

from hostile import serve

serve(lambda _demand: os.kill(os.getpid(), signal.SIGSTOP))
