"""Loads the node types for a command: core types, and those of the user's modules, looked for here too."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Final

from graphport.app import engine
from graphport.cli.output import Misuse
from graphport.core.errors import LookupFailed

if TYPE_CHECKING:
    from graphport.app.engine import Composition
    from graphport.graph.catalogue import Catalogue

_LIBRARY: Final = os.path.dirname(importlib.__file__)


def catalogue_of(composition: Composition) -> Catalogue:
    """The node types.

    Raises:
        Misuse: a module cannot be imported, declares no node, or a type whose name is taken.
    """
    here = os.getcwd()
    if here not in sys.path:
        # Last: a file `json.py` in the current folder must not be taken for the library's.
        sys.path.append(here)
    try:
        return composition.catalogue
    except LookupFailed as error:
        raise Misuse(f"{error.message}{_place(error.__cause__)}", code=error.code) from error


def _place(cause: BaseException | None) -> str:
    """Where in the user's code an import failed, if it got that far."""
    frames = None if cause is None else cause.__traceback__
    place = ""
    while frames is not None:
        file = frames.tb_frame.f_code.co_filename
        if not file.startswith("<") and file != engine.__file__ and not file.startswith(_LIBRARY):
            place = f" ({file}, line {frames.tb_lineno})"
        frames = frames.tb_next
    return place
