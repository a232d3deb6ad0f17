"""Reads drawings as strictly as they are written: any line that is none of a drawing's own fails the test.

The labels of a real parser may say more; these say at least that nothing of a label got out of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

# No quote, bracket or sign that means something to Mermaid, but as an entity.
_MERMAID_TEXT: Final = r"(?:[\w\-.,/→µ]| |#\d+;|<br/>)*"
_MERMAID: Final = {
    "node": re.compile(rf' {{4}}n(\d+)\["({_MERMAID_TEXT})"\]'),
    "edge": re.compile(rf' {{4}}n(\d+) -->\|"({_MERMAID_TEXT})"\| n(\d+)'),
    "other": re.compile(r" {4}classDef \w+ fill:#\w{6},stroke:#\w{6}| {4}class n\d+(?:,n\d+)* \w+"),
}
# A backslash is part of a pair, a quote ends the text.
_DOT_TEXT: Final = r'(?:[^"\\]|\\["\\n])*'
_DOT: Final = {
    "node": re.compile(rf' {{4}}n(\d+) \[label="({_DOT_TEXT})"(?:, fillcolor="#\w{{6}}", color="#\w{{6}}")?\]'),
    "edge": re.compile(rf' {{4}}n(\d+) -> n(\d+) \[label="({_DOT_TEXT})"\]'),
    "other": re.compile(r' {4}rankdir=LR| {4}node \[shape=box, style="rounded,filled", fillcolor=white\]'),
}


@dataclass
class Drawn:
    """What a drawing shows: the numbers of nodes, and of the ends of edges, in its order."""

    nodes: list[int] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


def read_mermaid(text: str) -> Drawn:
    """A flowchart as `to_mermaid` writes it."""
    first, *lines, last = text.split("\n")
    assert (first, last) == ("flowchart LR", "")
    return _read(lines, _MERMAID, (1, 3), 2)


def read_dot(text: str) -> Drawn:
    """A directed graph as `to_dot` writes it."""
    first, *lines, closing, last = text.split("\n")
    assert (first, closing, last) == ("digraph graphport {", "}", "")
    return _read(lines, _DOT, (1, 2), 3)


def _read(lines: list[str], kinds: dict[str, re.Pattern[str]], ends: tuple[int, int], label: int) -> Drawn:
    drawn = Drawn()
    for line in lines:
        assert line.isprintable(), line
        node, edge = kinds["node"].fullmatch(line), kinds["edge"].fullmatch(line)
        if node is not None:
            drawn.nodes.append(int(node[1]))
            drawn.labels.append(node[2])
        elif edge is not None:
            drawn.edges.append((int(edge[ends[0]]), int(edge[ends[1]])))
            drawn.labels.append(edge[label])
        else:
            assert kinds["other"].fullmatch(line), line
    return drawn
