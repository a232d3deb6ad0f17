"""`graphport models list|install`. Called by `cli.main`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from graphport.app.models import ModelFolder, Progress
from graphport.core.errors import GraphportError

if TYPE_CHECKING:
    from argparse import Namespace


def run(options: Namespace) -> int:
    """Do it; returns the exit status: 0, or 1 with a sentence on standard error."""
    library = ModelFolder()
    if options.action == "list":
        for name, model in sorted(library.catalogue.items()):
            place = library.path(name)
            print(f"{name:<12} {model.description} ({place or 'not installed'})")
        return 0
    try:
        place = library.install(options.name, _Bar())
    except GraphportError as error:
        print(f"graphport: {error.message}", file=sys.stderr)
        return 1
    print(place)
    return 0


class _Bar:
    """Shows progress on standard error: a line that grows on a terminal, a line per step elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._shown = ("", -1)

    def __call__(self, progress: Progress) -> None:
        percent = 100 * progress.done // max(progress.total, 1)
        if (progress.step, percent if self._live else 0) == self._shown:
            return
        self._shown = (progress.step, percent if self._live else 0)
        size = f"{progress.total / 1e6:.0f} MB"
        if self._live:
            end = "\n" if progress.step in ("done", "present") else ""
            print(f"\r{progress.step:<9} {percent:3d} % of {size}  ", end=end, file=sys.stderr, flush=True)
        else:
            print(f"{progress.step} ({size})", file=sys.stderr, flush=True)
