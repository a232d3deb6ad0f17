"""Strategies for random graphs of `random_nodes`, for edits of them, and for what demands ask and give."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st
from tests.support.random_nodes import KINDS, SETTING, Kind
from tests.support.reference_evaluator import DrawnEdge, DrawnGraph, DrawnNode, Given

if TYPE_CHECKING:
    from collections.abc import Collection

    from graphport.contracts.sink import Target

_SMALL: Final = st.integers(0, 3)
_EDGES_OF_A_PORT: Final = 3


@st.composite
def graphs(draw: st.DrawFn, *, max_nodes: int = 9, without: Collection[str] = ()) -> DrawnGraph:
    """A graph of up to so many nodes, in which no node has a kind of `without`."""
    # Few kinds in one graph, so that they meet each other; gates more often than the others.
    names = draw(st.lists(st.sampled_from([name for name in KINDS if name not in without]), min_size=1, max_size=4))
    names += [
        name for name in draw(st.sampled_from([(), (), ("gate",), ("digest",), ("gate-waits",)])) if name not in without
    ]
    kinds = draw(st.lists(st.sampled_from(names), min_size=1, max_size=max_nodes))
    graph = DrawnGraph(settings={SETTING: 1} if draw(st.booleans()) else {})
    for place, name in enumerate(kinds):
        add_node(draw, graph, f"n{place}", KINDS[name], place)
    return graph


def add_node(draw: st.DrawFn, graph: DrawnGraph, node_id: str, kind: Kind, k: int) -> None:
    """Put a node behind those that are there, with edges from some of them."""
    data: dict[str, Any] = {"k": k}
    for port in kind.ports:
        if draw(st.integers(0, 3)) == 0:
            data[port] = draw(values(kind, port))
    before = list(graph.nodes)
    for port in kind.ports if before else ():
        most = 1 if port in kind.single else _EDGES_OF_A_PORT
        for source in draw(st.lists(st.sampled_from(before), max_size=most)):
            edge = DrawnEdge(source, draw(st.sampled_from(graph.nodes[source].kind.outputs)), node_id, port)
            if edge not in graph.edges:
                graph.edges.append(edge)
    graph.nodes[node_id] = DrawnNode(node_id, kind, data)


def values(kind: Kind, port: str) -> st.SearchStrategy[Any]:
    """Values for a port."""
    return _SMALL if port in kind.single else st.lists(_SMALL, max_size=2)


@st.composite
def edited(draw: st.DrawFn, graph: DrawnGraph, fresh: int, *, without: Collection[str] = ()) -> DrawnGraph:
    """The graph with one or two changes; `fresh` is a number that none of its nodes has as `k`."""
    changed = DrawnGraph(dict(graph.nodes), list(graph.edges), dict(graph.settings))
    for step in range(draw(st.integers(1, 2))):
        what = draw(st.sampled_from(["data", "edge", "setting", "add", "remove"]))
        if what == "data":
            node = changed.nodes[draw(st.sampled_from(list(changed.nodes)))]
            changed.nodes[node.id] = replace(node, data=node.data | {"k": fresh + step})
        elif what == "edge" and changed.edges:
            changed.edges.remove(draw(st.sampled_from(changed.edges)))
        elif what == "setting":
            changed.settings[SETTING] = draw(_SMALL)
        elif what == "add":
            kind = KINDS[draw(st.sampled_from([name for name in KINDS if name not in without]))]
            add_node(draw, changed, f"n{fresh + step}", kind, fresh + step)
        elif what == "remove" and len(changed.nodes) > 1:
            gone = draw(st.sampled_from(list(changed.nodes)))
            del changed.nodes[gone]
            changed.edges = [edge for edge in changed.edges if gone not in (edge.source, edge.target)]
    return changed


def edits_between(before: DrawnGraph, after: DrawnGraph) -> list[dict[str, Any]]:
    """What `update` has to be told so that `before` becomes `after`, a graph that `edited` made of it."""
    old, new = before.to_json(), after.to_json()
    edits: list[dict[str, Any]] = [{"remove": name} for name in before.nodes if name not in after.nodes]
    for edge, wire in zip(before.edges, old["edges"], strict=True):
        if edge not in after.edges and edge.source in after.nodes and edge.target in after.nodes:
            edits.append({"disconnect": wire})
    for node in new["nodes"]:
        known = before.nodes.get(node["id"])
        if known is None:
            edits.append({"put": node})
        elif known.data != node["data"]:
            edits.append({"set": node["id"], "data": node["data"]})
    edits += [
        {"connect": wire} for edge, wire in zip(after.edges, new["edges"], strict=True) if edge not in before.edges
    ]
    if before.settings != after.settings:
        edits.append({"settings": after.settings})
    return edits


@st.composite
def demands(draw: st.DrawFn, graph: DrawnGraph) -> tuple[Target, Given]:
    """What is demanded, one node, several or all sinks, and the demand's own inputs."""
    names = st.sampled_from(list(graph.nodes))
    given: Given = {}
    for name in draw(st.lists(names, max_size=2)):
        kind = graph.nodes[name].kind
        port = draw(st.sampled_from(kind.ports))
        given.setdefault(name, {})[port] = draw(values(kind, port))
    several = st.lists(names, min_size=1, max_size=3, unique=True)
    target: Target = draw(st.one_of(names, several, st.just("*")))
    return target, given


def targets_of(graph: DrawnGraph, target: Target) -> list[str]:
    """The ids of what is demanded."""
    if target == "*":
        return graph.sinks()
    return [target] if isinstance(target, str) else list(target)
