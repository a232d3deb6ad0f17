"""`graphport run`: demands a node of a graph in this process and shows the answer. Called by `commands`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from graphport.app.cache import described_by
from graphport.app.engine import Composition
from graphport.app.local_run import INTERRUPTED_STATUS, Ending, LocalDemand, LocalGraph, run_demand
from graphport.cli.check import show_faults
from graphport.cli.graph_file import GraphFile, locate, read_graph_file
from graphport.cli.inputs import read_inputs, unknown_node
from graphport.cli.output import FAILED, OK, Misuse, own_output
from graphport.cli.run_display import JsonLines, Text
from graphport.cli.run_drawing import RunDrawing
from graphport.cli.user_nodes import catalogue_of
from graphport.core.errors import GraphInvalid

if TYPE_CHECKING:
    from graphport.cli.run_display import Display

_SINKS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the user typed.

    Attributes:
        path: the graph's file; `-` is standard input.
        demand: the node wanted, or None for the graph's only end.
        inputs: texts `node.port=value`.
        node_modules: modules with the user's own nodes.
        deadline_ms: milliseconds after which to give up, or None.
        fresh: draw other seeds.
        cache: where results are kept for the next run, or None.
        stream: show text as it is made.
        as_json: answer in JSON.
        traceback: show where in Python a node failed.
        draw: a file for a drawing of the run, or None.
    """

    path: str
    demand: str | None = None
    inputs: tuple[str, ...] = ()
    node_modules: tuple[str, ...] = ()
    deadline_ms: int | None = None
    fresh: bool = False
    cache: str | None = None
    stream: bool = True
    as_json: bool = False
    traceback: bool = False
    draw: str | None = None


def run(options: RunOptions) -> int:
    """Run it; returns 0, 1 if the graph has faults or the demand failed, 130 after Ctrl-C.

    Raises:
        Misuse: something that was typed cannot be used.
    """
    try:
        with own_output() as out:
            return _run(options, out)
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _run(options: RunOptions, out: TextIO) -> int:
    drawing = None if options.draw is None else RunDrawing(options.draw)
    composition = Composition(options.node_modules)
    catalogue = catalogue_of(composition)
    file: GraphFile | None = None
    try:
        file = read_graph_file(options.path)
        graph = LocalGraph(file.raw, catalogue)
    except GraphInvalid as error:
        if options.as_json:
            JsonLines(out).end(Ending(node=options.demand or "", error=error))
        else:
            show_faults(options.path, locate(error, file), sys.stderr)
        return FAILED
    asked = _demand(options, graph)
    display: Display = JsonLines(out)
    if not options.as_json:
        voices = graph.voices(asked.node) if options.stream else frozenset()
        display = Text(out, graph.spec(asked.node), voices, traceback=options.traceback)
    try:
        ending = run_demand(composition, graph, asked, display.show, None if drawing is None else drawing.note)
        display.end(ending)
    finally:
        display.close()
    if drawing is not None:
        drawing.write(file.raw, catalogue)
    if ending.error is None:
        return OK
    return INTERRUPTED_STATUS if ending.error.code == "cancelled" else FAILED


def _demand(options: RunOptions, graph: LocalGraph) -> LocalDemand:
    node = options.demand
    if node is None:
        node = _only_sink(graph)
    elif graph.spec(node) is None:
        raise Misuse(unknown_node(node, graph.node_ids()), code="unknown_node")
    return LocalDemand(
        node=node,
        inputs=read_inputs(options.inputs, graph),
        deadline_ms=options.deadline_ms,
        stream=options.stream,
        fresh=options.fresh,
        cache=None if options.cache is None else described_by(options.cache),
    )


def _only_sink(graph: LocalGraph) -> str:
    if len(graph.sinks) == 1:
        return graph.sinks[0]
    if not graph.sinks:
        raise Misuse("The graph has no nodes to demand.")
    shown = ", ".join(graph.sinks[:_SINKS_SHOWN]) + (", …" if len(graph.sinks) > _SINKS_SHOWN else "")
    raise Misuse(f"The graph ends in {len(graph.sinks)} nodes; say which one with --demand: {shown}.")
