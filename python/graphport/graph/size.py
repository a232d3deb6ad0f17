"""How large a graph may be, and the faults of one that is larger: told by the lengths of its lists, before any is read.

So that one message cannot take all the engine's memory. Called by `read`, `validate` and `recompile`.
"""

from __future__ import annotations

from typing import Any, Final

from graphport.graph.model import Fault

MAX_NODES: Final = 1_000_000
MAX_EDGES: Final = 4_000_000

# Where plain data of any of the shapes that are read holds what becomes nodes, and edges.
_NODE_LISTS: Final = ("nodes", "tasks", "groups")
_EDGE_LISTS: Final = ("edges", "dataflows")


def size_faults(nodes: int, edges: int) -> list[Fault]:
    """What is wrong with so many nodes and edges: nothing, or `too_large` for either."""
    counts = (("nodes", nodes, MAX_NODES), ("edges", edges, MAX_EDGES))
    return [
        Fault("too_large", f"The graph has {count:,} {what}, and may have {most:,} at most: divide it into several.")
        for what, count, most in counts
        if count > most
    ]


def raw_size_faults(raw: Any) -> list[Fault]:
    """The same for plain data, of which no item is looked at."""
    if isinstance(raw, list):
        return size_faults(len(raw), 0)
    if not isinstance(raw, dict):
        return []
    return size_faults(_longest(raw, _NODE_LISTS), _longest(raw, _EDGE_LISTS))


def _longest(raw: dict[Any, Any], names: tuple[str, ...]) -> int:
    lists = [raw.get(name) for name in names]
    return max((len(items) for items in lists if isinstance(items, list | tuple | dict)), default=0)
