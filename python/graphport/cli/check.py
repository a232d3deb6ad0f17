"""`graphport check`: says everything that is wrong with a graph, and where. Called by `commands`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from graphport.app.engine import Composition
from graphport.app.local_run import LocalGraph
from graphport.cli.graph_file import GraphFile, Located, locate, read_graph_file
from graphport.cli.output import FAILED, OK, harmless, own_output, to_json
from graphport.cli.user_nodes import catalogue_of
from graphport.core.errors import GraphInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence


def check(path: str, node_modules: Sequence[str], *, as_json: bool) -> int:
    """Check one file; returns 0, or 1 if it has faults.

    Raises:
        Misuse: the file cannot be read, or a module of nodes cannot be used.
    """
    with own_output() as out:
        catalogue = catalogue_of(Composition(node_modules))
        file: GraphFile | None = None
        try:
            file = read_graph_file(path)
            graph = LocalGraph(file.raw, catalogue)
        except GraphInvalid as error:
            faults = locate(error, file)
            if as_json:
                answer = {"file": path, "ok": False, "faults": [fault.to_plain() for fault in faults]}
                out.write(f"{to_json(answer)}\n")
            else:
                show_faults(path, faults, out)
            return FAILED
        if as_json:
            answer = {"file": path, "ok": True, "faults": [], "nodes": len(graph.node_ids()), "sinks": graph.sinks}
            out.write(f"{to_json(answer)}\n")
        else:
            sinks = harmless(", ".join(graph.sinks[:20]))
            out.write(f"{path}: no faults ({_count(len(graph.node_ids()), 'node')}; ends in: {sinks or 'none'})\n")
        return OK


def show_faults(path: str, faults: Sequence[Located], out: TextIO) -> None:
    """One line per fault, `file:line: message [code]`, and their number."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, highlight=False, soft_wrap=True)
    for fault in faults:
        place = f"{path}:{fault.lines[0]}:" if fault.lines else f"{path}:"
        also = f" (also line {', '.join(str(line) for line in fault.lines[1:])})" if fault.lines[1:] else ""
        names = [fault.code]
        if fault.node is not None:
            names.append(f"node {fault.node}")
        if fault.port is not None:
            names.append(f"port {fault.port}")
        console.print(
            Text.assemble(
                (place, "bold"), " ", harmless(fault.message), also, (harmless(f" [{', '.join(names)}]"), "dim")
            )
        )
    console.print(Text(f"{path}: {_count(len(faults), 'fault')}", "bold red"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
