"""ErlPort's own Python code, which the Erlang application ErlPort puts on the module path of the processes it starts.

The one place that imports it, says what to do where that fails, and takes ErlPort's file descriptors out of the reach
of what nodes write. Called by the other modules of this package.
"""

from __future__ import annotations

import os
from typing import Any, Final

from graphport.core.errors import ErlPortNotFound
from graphport.server.descriptors import WireFds, copy_wire, silence

_ADVICE: Final = (
    "graphport.erlport runs in a Python that the Erlang application ErlPort (0.11 or newer) has started with "
    "python:start, which supplies its own Python code. Without ErlPort use the Elixir library as it is."
)


class Library:
    """What is used of ErlPort.

    Attributes:
        erlang: the module `erlport.erlang`.
        atom: makes an atom of ASCII text.
    """

    def __init__(self, erlang: Any, atom_class: Any) -> None:
        self.erlang = erlang
        self._atom_class = atom_class

    def atom(self, name: str) -> Any:
        """An Erlang atom."""
        return self._atom_class(name.encode("ascii"))

    @property
    def port(self) -> Any:
        """ErlPort's end of the Erlang port.

        Raises:
            ErlPortNotFound: this process was not started by ErlPort.
        """
        port = getattr(getattr(getattr(self.erlang, "cast", None), "__self__", None), "port", None)
        if port is None:
            raise ErlPortNotFound(f"This process was not started by ErlPort. {_ADVICE}")
        return port

    def take_wire(self) -> WireFds:
        """Move ErlPort's pipe to private fds: no print of C code and no child process can then harm or hold it.

        Called while ErlPort's main thread runs our code, so it is not reading; returns the new fds.

        Raises:
            ErlPortNotFound: this process was not started by ErlPort.
        """
        port = self.port
        theirs = WireFds(port.in_d, port.out_d)
        moved = copy_wire(theirs)
        port.in_d, port.out_d = moved
        silence([theirs.read])
        if theirs.write == 1:
            os.dup2(2, 1)  # what C code prints goes where ErlPort leaves standard error
        else:
            silence([theirs.write])
        return moved


def load_library() -> Library:
    """Import ErlPort's code.

    Raises:
        ErlPortNotFound: there is none, or it is not for Python 3, like the package `erlport` on PyPI (0.6, of 2010).
    """
    try:
        from erlport import Atom, erlang
    except (ImportError, SyntaxError, NameError) as error:
        what = "is not there" if isinstance(error, ModuleNotFoundError) else "cannot be used by this Python"
        raise ErlPortNotFound(
            f"ErlPort's Python package {what} ({type(error).__name__}: {error}). {_ADVICE} "
            "The package `erlport` on PyPI is for Python 2 and of no use: uninstall it.",
            exception_name=type(error).__name__,
        ) from error
    return Library(erlang, Atom)
