"""Draws a graph as text: a Mermaid flowchart, or DOT for Graphviz, with the timings of a run where they are given.

Whatever stands in ids, types and ports stays a label: nothing in it can end a string, add a line or reach the drawing
program as a directive. Linear in the size of the graph. Called by the builder, `graphport convert` and the wire's
queries.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from graphport.graph.model import Graph

STATES: Final = ("completed", "cached", "skipped", "running", "failed")
"""What a run can have made of a node, as in the names of its events; `running` is under way."""

# Light fill and dark line of each state: told apart without colours too, since the label names it.
_COLOURS: Final = {
    "completed": ("#e6f4ea", "#1e8e3e"),
    "cached": ("#e8f0fe", "#1a73e8"),
    "skipped": ("#f1f3f4", "#80868b"),
    "running": ("#fef7e0", "#f9ab00"),
    "failed": ("#fce8e6", "#d93025"),
}
_LABEL_MOST: Final = 120


@dataclass(frozen=True, slots=True)
class Timing:
    """What a run made of a node.

    Attributes:
        state: one of `STATES`.
        us: microseconds from its start to its end, or None where it did not run.
    """

    state: str
    us: int | None = None


# The names of events that say what became of a node, and the state each leaves it in.
_STATE_OF: Final = {state: state for state in STATES} | {"started": "running"}


def note_event(timings: dict[str, Timing], node_id: str, event: Mapping[str, Any]) -> None:
    """Note in the timings what an event of a run, as `node_event` carries it, says of its node; most say nothing."""
    state = _STATE_OF.get(event["event"])
    if state is not None and node_id:
        timings[node_id] = Timing(state, event.get("us"))


def to_mermaid(graph: Graph, timings: Mapping[str, Timing] | None = None) -> str:
    """A Mermaid flowchart: a box per node with id, type and timing, an arrow per edge with its ports.

    Args:
        graph: any graph; an edge to a node that it does not have is left out.
        timings: node id → what a run made of it. Ids that the graph lacks are ignored.
    """
    names = _names(graph)
    lines = ["flowchart LR"]
    for node in graph.nodes:
        label = "<br/>".join(map(_mermaid, _label(node.id, node.type, timings)))
        lines.append(f'    {names[node.id]}["{label}"]')
    for source, target, ports in _arrows(graph, names):
        lines.append(f'    {source} -->|"{" → ".join(map(_mermaid, ports))}"| {target}')
    for state, members in _by_state(graph, names, timings).items():
        fill, stroke = _COLOURS[state]
        lines.append(f"    classDef {state} fill:{fill},stroke:{stroke}")
        lines.append(f"    class {','.join(members)} {state}")
    return "\n".join(lines) + "\n"


def to_dot(graph: Graph, timings: Mapping[str, Timing] | None = None) -> str:
    """The same as a directed graph in DOT, as UTF-8 text."""
    names = _names(graph)
    lines = ["digraph graphport {", "    rankdir=LR", '    node [shape=box, style="rounded,filled", fillcolor=white]']
    colours = {name: _COLOURS[state] for state, members in _by_state(graph, names, timings).items() for name in members}
    for node in graph.nodes:
        name = names[node.id]
        label = "\\n".join(map(_dot, _label(node.id, node.type, timings)))
        fill, stroke = colours.get(name, (None, None))
        colour = f', fillcolor="{fill}", color="{stroke}"' if fill else ""
        lines.append(f'    {name} [label="{label}"{colour}]')
    for source, target, ports in _arrows(graph, names):
        lines.append(f'    {source} -> {target} [label="{" → ".join(map(_dot, ports))}"]')
    return "\n".join([*lines, "}"]) + "\n"


def _names(graph: Graph) -> dict[str, str]:
    """Node id → a name that needs no quoting. An id that is used twice is one node in a drawing's edges."""
    return {node.id: f"n{place}" for place, node in enumerate(graph.nodes)}


def _label(node_id: str, node_type: str, timings: Mapping[str, Timing] | None) -> list[str]:
    lines = [node_id, node_type] if node_type != node_id else [node_id]
    timing = None if timings is None else timings.get(node_id)
    if timing is not None:
        lines.append(timing.state if timing.us is None else f"{timing.state}, {_duration(timing.us)}")
    return lines


def _duration(us: int) -> str:
    if us < 1_000:
        return f"{us} µs"
    return f"{us / 1_000:.1f} ms" if us < 1_000_000 else f"{us / 1_000_000:.2f} s"


def _arrows(graph: Graph, names: Mapping[str, str]) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    for edge in graph.edges:
        if edge.source in names and edge.target in names:
            ports = (edge.source_handle, edge.target_handle)
            yield names[edge.source], names[edge.target], ports[:1] if ports[0] == ports[1] else ports


def _by_state(graph: Graph, names: Mapping[str, str], timings: Mapping[str, Timing] | None) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for node in graph.nodes if timings else ():
        timing = timings.get(node.id) if timings else None
        if timing is not None and timing.state in _COLOURS:
            members.setdefault(timing.state, []).append(names[node.id])
    return members


# Mermaid looks for directives (`%%{`), styles and its own entities everywhere, in strings too: what is not in this
# list is written as an entity.
_PLAIN_IN_MERMAID: Final = frozenset(" -_.,/→µ")


def _mermaid(text: str) -> str:
    return _escaped(text, lambda char: char if char.isalnum() or char in _PLAIN_IN_MERMAID else f"#{ord(char)};")


_IN_DOT: Final = {"\\": "\\\\", '"': '\\"', "&": "&amp;"}


def _dot(text: str) -> str:
    return _escaped(text, lambda char: _IN_DOT.get(char, char))


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    """A label of bounded length, in which line breaks and what cannot be seen are signs."""
    if len(text) > _LABEL_MOST:
        text = text[: _LABEL_MOST - 1] + "…"
    return "".join(map(escape, map(_visible, text)))


def _visible(char: str) -> str:
    if char in "\n\r\u2028\u2029\x85\x0b\x0c":
        return "↵"
    # Controls, lone surrogates and what turns the direction of writing; spaces of all kinds are spaces.
    category = unicodedata.category(char)
    return " " if category == "Zs" else "�" if category[0] == "C" else char
