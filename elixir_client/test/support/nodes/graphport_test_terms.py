"""Python functions for the tests of ErlPort's terms, called by `python:call`."""

import os
from typing import Any


def echo(term: Any) -> Any:
    """Gives a term back."""
    return term


def kind(term: Any) -> bytes:
    """The Python type of a term."""
    return type(term).__name__.encode()


def made() -> Any:
    """A term that begins in Python."""
    from erlport import Atom

    return (Atom(b"made"), b"in python", 2**70, -1, 1.5, [b"a", [], (True, False, None)])


def told(pid: Any, term: Any) -> None:
    """Sends a term to a pid."""
    from erlport import erlang

    erlang.cast(pid, term)


def os_pid() -> int:
    """This process."""
    return os.getpid()
