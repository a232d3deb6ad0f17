"""`graphport models list|install`. Works without typer and rich. Called by `commands` and `bare`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from graphport.app.doctor import installed_models
from graphport.app.models import ModelFolder
from graphport.cli.output import FAILED, MISUSED, OK, complain, to_json
from graphport.core.errors import GraphportError

if TYPE_CHECKING:
    from graphport.app.models import Progress


def show_list(*, as_json: bool) -> int:
    """Show the models that graphs can name, and those of the catalogue that are not installed yet."""
    library = ModelFolder()
    installed = installed_models(library)
    rows = []
    for name in sorted(library.catalogue.keys() | installed.keys()):
        model, place = library.catalogue.get(name), installed.get(name)
        rows.append(
            {
                "name": name,
                "description": "Put there by you." if model is None else model.description,
                "installable": model is not None,
                "path": None if place is None else str(place),
            }
        )
    if as_json:
        sys.stdout.write(f"{to_json({'folder': str(library.folder), 'models': rows})}\n")
        return OK
    for row in rows:
        sys.stdout.write(f"{row['name']:<12} {row['description']} ({row['path'] or 'not installed'})\n")
    return OK


def install(name: str, *, as_json: bool) -> int:
    """Install a model; returns the exit status: 0, 1, or 2 for a name that is not in the catalogue."""
    library = ModelFolder()
    try:
        place = library.install(name, _Bar())
    except GraphportError as error:
        complain(error.message)
        return MISUSED if error.code == "model_not_found" else FAILED
    sys.stdout.write(f"{to_json({'name': name, 'path': str(place)}) if as_json else place}\n")
    return OK


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
