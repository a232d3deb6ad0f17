"""Dies of a segmentation fault."""

import os
import signal

from hostile import serve

serve(lambda _demand: os.kill(os.getpid(), signal.SIGSEGV))
