"""Nodes that put the engine into a state in which something is then killed.

Each makes the file `marker` when it is there, since an engine that is held up can send no message.
"""

import ctypes
import gc
import os
import subprocess
import time
from pathlib import Path

from graphport import node


def there(marker: str, text: str = "") -> None:
    """Makes the file, at once with all its text."""
    unfinished = Path(f"{marker}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.rename(marker)


@node(outputs={"value": int}, effect="volatile")
def sleeps_long(marker: str) -> int:
    """Sleeps on its thread."""
    there(marker)
    time.sleep(1_000)
    return 0


@node(outputs={"value": int}, effect="volatile", execution="inline")
def loops(marker: str) -> int:
    """Computes for ever, on the thread of the event loop."""
    there(marker)
    while True:
        pass


@node(outputs={"value": int}, effect="volatile")
def holds_the_interpreter(marker: str) -> int:
    """A C call that does not let go of the interpreter: no other thread runs, no signal is handled."""
    there(marker)
    ctypes.PyDLL(None).sleep(1_000)
    return 0


@node(outputs={"value": int}, effect="volatile")
def writes_half_a_frame(marker: str) -> int:
    """Writes the beginning of a frame to the wire behind the engine's back, and sleeps."""
    from graphport.server.transport import PipeTransport

    (transport,) = (thing for thing in gc.get_objects() if isinstance(thing, PipeTransport))
    os.write(transport._fds.write, b"\x00\x00\x10\x00half of it")
    there(marker)
    time.sleep(1_000)
    return 0


@node(outputs={"value": int}, effect="volatile")
def forks_twice(marker: str) -> int:
    """Forks a child that forks another; both keep what they have inherited. The marker says their process ids."""
    if not (child := os.fork()):
        if not (grandchild := os.fork()):
            while True:
                pass
        there(marker, f"{os.getpid()} {grandchild}")
        time.sleep(1_000)
        os._exit(0)
    os.waitpid(child, 0)
    return 0


@node(outputs={"value": int}, effect="volatile")
def starts_a_program(marker: str) -> int:
    """Starts a program that inherits every descriptor it can. The marker says its process id."""
    program = subprocess.Popen(["sleep", "1000"], close_fds=False)
    there(marker, str(program.pid))
    return program.wait()
