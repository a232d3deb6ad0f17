"""Writes a graph as plain data: our own shape, and the two in which Workglow saves graphs. `read` reads them all.

Values are copied, so what is written may be changed freely. Judges nothing but what a shape has no form for. Called by
the builder and by `graphport convert`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphport.graph.model import Fault, invalid_graph
from graphport.graph.values import own_copy
from graphport.graph.workglow import ENDS

if TYPE_CHECKING:
    from graphport.graph.model import Edge, Graph, Node

# Words in a node's data that editors use for its type; `read` looks for them before `type`.
_TYPE_WORDS: Final = ("node_type", "nodeType")


def to_json(graph: Graph) -> dict[str, Any]:
    """`{"nodes", "edges", "settings"}`, with every key that the graph has beside those."""
    nodes = [_node(node, "data") for node in graph.nodes]
    edges = [{**_extra(edge), **{ours: getattr(edge, ours) for ours, _ in ENDS}} for edge in graph.edges]
    return {"nodes": nodes, "edges": edges} | _around(graph, "nodes", "edges")


def to_workglow_json(graph: Graph) -> dict[str, Any]:
    """Workglow's `toJSON`: `{"tasks", "dataflows"}`, and our `settings` if there are any."""
    tasks = [_node(node, "defaults") for node in graph.nodes]
    flows = [{**_extra(edge), **{theirs: getattr(edge, ours) for ours, theirs in ENDS}} for edge in graph.edges]
    return {"tasks": tasks, "dataflows": flows} | _around(graph, "tasks", "dataflows")


def to_dependency_json(graph: Graph) -> list[dict[str, Any]] | dict[str, Any]:
    """Workglow's `toDependencyJSON`: a list of tasks, each with what its inputs depend on.

    A graph with settings, or other keys of its own, is `{"settings", …, "tasks": [...]}`. An input has a map, or where
    several edges lead to it a list. Edges of different inputs lose their order among each other, which means nothing.

    Raises:
        GraphInvalid: an id is used twice, or an edge leads to a node that does not exist.
    """
    check_ends(graph, sources=False)
    tasks = {node.id: _node(node, "defaults") for node in graph.nodes}
    inputs: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for edge in graph.edges:
        source = {**_extra(edge), "id": edge.source, "output": edge.source_handle}
        inputs.setdefault(edge.target, {}).setdefault(edge.target_handle, []).append(source)
    for node_id, ports in inputs.items():
        tasks[node_id]["dependencies"] = {
            port: sources[0] if len(sources) == 1 else sources for port, sources in ports.items()
        }
    around = _around(graph, "tasks")
    return {"tasks": list(tasks.values())} | around if around or not tasks else list(tasks.values())


def check_ends(graph: Graph, *, sources: bool = True) -> None:
    """Make sure that ids differ and edges join nodes of the graph.

    Args:
        graph: the graph.
        sources: look at both ends of edges, and not at their targets alone.

    Raises:
        GraphInvalid: with a fault for each id and edge that is wrong.
    """
    seen: set[str] = set()
    faults: list[Fault] = []
    for node in graph.nodes:
        if node.id in seen:
            faults.append(Fault("duplicate_id", f"Several nodes have the id {node.id!r}; ids must differ.", node.id))
        seen.add(node.id)
    for edge in graph.edges:
        for end in (edge.source, edge.target) if sources else (edge.target,):
            if end not in seen:
                name = f"{edge.source}.{edge.source_handle} → {edge.target}.{edge.target_handle}"
                faults.append(Fault("dangling_edge", f"Edge {name}: there is no node {end!r}.", end))
    if faults:
        raise invalid_graph(faults)


def _around(graph: Graph, *taken: str) -> dict[str, Any]:
    around = {key: own_copy(value) for key, value in (graph.model_extra or {}).items() if key not in taken}
    if graph.settings:
        around["settings"] = own_copy(graph.settings)
    return around


def _extra(item: Node | Edge) -> dict[str, Any]:
    return own_copy(item.model_extra or {})  # type: ignore[no-any-return]


def _node(node: Node, data_key: str) -> dict[str, Any]:
    # A word in data that says another type would be believed before `type`.
    other = any(node.data.get(word) not in (None, node.type) for word in _TYPE_WORDS)
    fields = {**_extra(node), "id": node.id, "node_type" if other else "type": node.type}
    fields[data_key] = own_copy(node.data)
    if node.position is not None:
        fields["position"] = own_copy(node.position)
    return fields
