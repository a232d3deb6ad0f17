"""`graphport convert`: writes a graph in another form. Called by `commands`."""

from __future__ import annotations

import json
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from graphport.app.engine import Composition
from graphport.app.graph_builder import GraphBuilder
from graphport.cli.check import show_faults
from graphport.cli.graph_file import GraphFile, locate, read_graph_file
from graphport.cli.output import FAILED, OK, Misuse, own_output, to_json
from graphport.cli.user_nodes import catalogue_of
from graphport.core.errors import GraphInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DATA: Final[dict[str, Callable[[GraphBuilder], Any]]] = {
    "json": GraphBuilder.to_json,
    "workglow-json": GraphBuilder.to_workglow_json,
    "dependency-json": GraphBuilder.to_dependency_json,
}
_TEXT: Final[dict[str, Callable[[GraphBuilder], str]]] = {
    "python": GraphBuilder.to_python,
    "mermaid": GraphBuilder.to_mermaid,
    "dot": GraphBuilder.to_dot,
}
FORMS: Final = (*_DATA, *_TEXT)


def convert(path: str, form: str, node_modules: Sequence[str], *, as_json: bool) -> int:
    """Write one file's graph to standard output; returns 0, or 1 if its shape has faults.

    Args:
        path: the file; `-` is standard input.
        form: one of `FORMS`.
        node_modules: modules with the user's own nodes: a program loads them, and has methods for their types.
        as_json: answer with an object: `graph` or `text`, or the faults.

    Raises:
        Misuse: there is no such form, the file cannot be read, or a module of nodes cannot be used.
        WireError: `unencodable_value`: a value has no form in Python.
    """
    if form not in FORMS:
        near = get_close_matches(form, FORMS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise Misuse(f"There is no form {form!r}. There are {', '.join(FORMS)}.{hint}")
    with own_output() as out:
        catalogue = catalogue_of(Composition(node_modules))
        file: GraphFile | None = None
        try:
            file = read_graph_file(path)
            builder = GraphBuilder.of(catalogue, node_modules).load(file.raw)
        except GraphInvalid as error:
            faults = locate(error, file)
            if as_json:
                answer = {"file": path, "ok": False, "to": form, "faults": [fault.to_plain() for fault in faults]}
                out.write(f"{to_json(answer)}\n")
            else:
                # Standard output is for the graph, which may be on its way into a file.
                show_faults(path, faults, sys.stderr)
            return FAILED
        key, written = ("graph", _DATA[form](builder)) if form in _DATA else ("text", _TEXT[form](builder))
        if as_json:
            out.write(f"{to_json({'file': path, 'ok': True, 'to': form, key: written})}\n")
        elif key == "graph":
            out.write(f"{json.dumps(json.loads(to_json(written)), ensure_ascii=False, indent=2)}\n")
        else:
            out.write(written)
        return OK
