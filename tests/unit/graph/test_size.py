"""A graph may have a million nodes. One with more is refused by the lengths of its lists, and no item is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.evaluation import make_type, many

from graphport.core.errors import GraphInvalid
from graphport.graph import size
from graphport.graph.catalogue import Catalogue
from graphport.graph.compile import CompiledGraph
from graphport.graph.model import Edge, Graph, Node
from graphport.graph.recompile import recompile
from graphport.graph.validate import load_graph, validate

if TYPE_CHECKING:
    from collections.abc import Callable

CATALOGUE = Catalogue()
CATALOGUE.register(make_type("join", lambda _inputs, _ctx: {"value": 1}, inputs=[many("items")]))

TOO_MANY_NODES = {
    "code": "too_large",
    "message": "The graph has 1,000,001 nodes, and may have 1,000,000 at most: divide it into several.",
}
TOO_MANY_EDGES = {
    "code": "too_large",
    "message": "The graph has 4,000,001 edges, and may have 4,000,000 at most: divide it into several.",
}


class Untouched:
    """An item that must not be looked at."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(name)


def items(count: int) -> list[Any]:
    return [Untouched()] * count


def faults(work: Callable[[], object]) -> list[dict[str, Any]]:
    with pytest.raises(GraphInvalid) as refused:
        work()
    assert refused.value.code == "invalid_graph"
    found: list[dict[str, Any]] = (refused.value.details or {})["faults"]
    return found


@pytest.mark.parametrize(
    "shape",
    [
        lambda nodes: {"nodes": nodes},
        lambda nodes: {"nodes": nodes, "edges": [Untouched()]},
        lambda nodes: {"graph": {"nodes": nodes, "edges": []}},
        lambda nodes: {"tasks": nodes, "dataflows": []},
        lambda nodes: {"nodes": [], "groups": nodes},
        lambda nodes: nodes,
    ],
    ids=["nodes", "nodes and edges", "within `graph`", "tasks", "groups", "a list of tasks"],
)
def test_a_graph_of_a_million_and_one_nodes_is_refused_unread(shape: Callable[[list[Any]], Any]) -> None:
    raw = shape(items(1_000_001))

    assert faults(lambda: load_graph(raw, CATALOGUE)) == [TOO_MANY_NODES]


def test_too_many_edges_are_refused_unread() -> None:
    assert faults(lambda: load_graph({"nodes": [], "edges": items(4_000_001)}, CATALOGUE)) == [TOO_MANY_EDGES]


def test_both_are_told_at_once() -> None:
    raw = {"nodes": items(1_000_001), "edges": items(4_000_001)}

    assert faults(lambda: load_graph(raw, CATALOGUE)) == [TOO_MANY_NODES, TOO_MANY_EDGES]


def test_what_groups_hold_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size, "MAX_NODES", 2)
    nodes = [{"id": f"n{number}", "type": "join"} for number in range(3)]
    raw = {"nodes": [nodes[0]], "edges": [], "groups": [{"id": "g", "nodes": nodes[1:], "edges": []}]}

    assert [fault["message"][:23] for fault in faults(lambda: load_graph(raw, CATALOGUE))] == [
        "The graph has 3 nodes, "
    ]


def test_a_graph_that_was_built_is_held_to_it() -> None:
    node = Node(id="a", type="join")

    assert faults(lambda: validate(Graph.model_construct(nodes=(node,) * 1_000_001), CATALOGUE)) == [TOO_MANY_NODES]


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size, "MAX_NODES", 2)
    monkeypatch.setattr(size, "MAX_EDGES", 1)


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize(
    ("edits", "told"),
    [
        ([{"put": {"id": "c", "type": "join"}}], "3 nodes"),
        ([{"remove": "a"}, {"put": {"id": "a", "type": "join"}}, {"put": {"id": "c", "type": "join"}}], "3 nodes"),
        (
            [{"connect": {"source": "a", "source_handle": "[error]", "target": "b", "target_handle": "items"}}],
            "2 edges",
        ),
    ],
)
def test_a_graph_does_not_grow_beyond_it_by_edits(edits: list[Any], told: str) -> None:
    assert [fault["message"].split(",")[0] for fault in faults(lambda: edited(edits))] == [f"The graph has {told}"]


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize(
    "edits",
    [
        [{"put": {"id": "c", "type": "join"}}, {"remove": "a"}],
        [{"put": {"id": "a", "type": "join"}}],
        [
            {"disconnect": {"source": "a", "source_handle": "value", "target": "b", "target_handle": "items"}},
            {"connect": {"source": "b", "source_handle": "value", "target": "a", "target_handle": "items"}},
        ],
    ],
)
def test_what_comes_of_all_edits_counts(edits: list[Any]) -> None:
    assert len(edited(edits).nodes) == 2


def edited(edits: list[Any]) -> CompiledGraph:
    nodes = (Node(id="a", type="join"), Node(id="b", type="join"))
    edge = Edge(source="a", source_handle="value", target="b", target_handle="items")
    base = CompiledGraph(Graph(nodes=nodes, edges=(edge,)), CATALOGUE)
    return recompile(base, edits, CATALOGUE, stats={}).graph
