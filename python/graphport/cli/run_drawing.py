"""Draws a run into a file: the graph, and what became of each node. Called by `run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphport.cli.output import Misuse
from graphport.graph.draw import Timing, note_event, to_dot, to_mermaid
from graphport.graph.read import read_graph

if TYPE_CHECKING:
    from graphport.graph.catalogue import Catalogue

_BY_ENDING: Final = {".mmd": to_mermaid, ".mermaid": to_mermaid, ".dot": to_dot, ".gv": to_dot}


class RunDrawing:
    """A file that is to hold a drawing.

    Args:
        path: its name, which ends as drawings of its kind do.

    Raises:
        Misuse: the name ends otherwise.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._timings: dict[str, Timing] = {}
        found = _BY_ENDING.get(self._path.suffix)
        if found is None:
            raise Misuse(f"--draw writes files that end in {', '.join(_BY_ENDING)}, got {path!r}.")
        self._draw = found

    def note(self, node: str, event: dict[str, Any]) -> None:
        """Something happens to a node."""
        note_event(self._timings, node, event)

    def write(self, raw: Any, catalogue: Catalogue) -> None:
        """Write the file.

        Raises:
            Misuse: it cannot be written.
        """
        text = self._draw(read_graph(raw, catalogue).graph, self._timings)
        try:
            self._path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Misuse(f"{self._path} cannot be written: {error.strerror or error}.") from error
