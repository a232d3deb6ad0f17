"""Whatever sound graph is written, as JSON, as dependencies or as a program, the same graph comes back."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.awkward_nodes import INPUTS, OUTPUTS, TYPES
from tests.support.drawings import read_dot, read_mermaid

from graphport import GraphBuilder
from graphport.graph.draw import STATES, Timing, to_dot, to_mermaid
from graphport.graph.json_shapes import to_dependency_json, to_json, to_workglow_json
from graphport.graph.model import Graph
from graphport.graph.validate import load_graph

MODULE = "tests.support.awkward_nodes"
CATALOGUE = GraphBuilder([MODULE])._catalogue

TEXT = st.text(max_size=12) | st.sampled_from(
    ['"', "'''", "\\", "\n\r\u2028", "{x}", "end", "%%{init}%%", "#quot;", "//"]
)
NAMES = TEXT.filter(bool)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
PYTHON = st.recursive(
    JSON | st.binary(max_size=8) | st.floats() | st.datetimes() | st.dates() | st.integers(2**9000, 2**9001),
    lambda inner: st.tuples(inner) | st.lists(inner, max_size=3) | st.sets(st.integers() | TEXT, max_size=3),
    max_leaves=6,
)
# What is read as something else beside a node's own keys; an editor's keys are others.
EXTRA = st.dictionaries(st.sampled_from(["label", "viewport", "größe", "x y", "selected"]), JSON, max_size=2)
LONE = [port.name for port in INPUTS if not port.multiple]


@st.composite
def graphs(draw: st.DrawFn, values: st.SearchStrategy[Any] = JSON) -> Graph:
    """Sound graphs: edges lead forward, and one at most to each input that takes one."""
    ids = draw(st.lists(NAMES, unique=True, max_size=6))
    data = st.dictionaries(st.sampled_from(LONE) | NAMES.filter(lambda name: name != "many"), values, max_size=4)
    nodes = [
        {
            "id": node_id,
            "type": draw(st.sampled_from(TYPES)),
            "data": draw(data),
            "position": draw(JSON),
            **draw(EXTRA),
        }
        for node_id in ids
    ]
    wanted = st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from(OUTPUTS), st.sampled_from(INPUTS), EXTRA)
    edges = []
    taken = set()
    for low, high, output, port, extra in draw(st.lists(wanted, max_size=10)):
        if low < high < len(ids) and (port.multiple or (high, port.name) not in taken):
            taken.add((high, port.name))
            ends = {"source": ids[low], "target": ids[high]}
            edges.append({**ends, "source_handle": output.name, "target_handle": port.name, **extra})
    settings = draw(st.dictionaries(NAMES, values, max_size=2))
    return load_graph({"nodes": nodes, "edges": edges, "settings": settings, **draw(EXTRA)}, CATALOGUE)


def same(one: Graph, other: Graph) -> bool:
    """Equal in every value and its kind, where `==` would take 1, 1.0 and true for one; keys may change their order."""
    return _sorted(one.model_dump()) == _sorted(other.model_dump())


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return sorted((repr(key), _sorted(item)) for key, item in value.items())
    if isinstance(value, set):
        return ("set", sorted(map(repr, value)))
    if isinstance(value, list | tuple):
        return (type(value).__name__, [_sorted(item) for item in value])
    return repr(value)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_json_gives_the_same_graph(graph: Graph) -> None:
    for written in (to_json(graph), to_workglow_json(graph)):
        again = load_graph(json.loads(json.dumps(written)), CATALOGUE)
        assert again == graph
        assert json.dumps(again.model_dump(), sort_keys=True) == json.dumps(graph.model_dump(), sort_keys=True)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_dependencies_give_the_same_graph(graph: Graph) -> None:
    again = load_graph(json.loads(json.dumps(to_dependency_json(graph))), CATALOGUE)

    assert (again.nodes, again.settings, again.model_extra) == (graph.nodes, graph.settings, graph.model_extra)
    for one in (graph, again):
        assert len(one.edges) == len(graph.edges)
    for node in graph.nodes:
        for port in INPUTS:
            both = [
                [edge for edge in one.edges if (edge.target, edge.target_handle) == (node.id, port.name)]
                for one in (graph, again)
            ]
            assert both[0] == both[1]


@settings(max_examples=60, deadline=None)
@given(graphs(PYTHON))
def test_a_program_gives_the_same_graph(graph: Graph) -> None:
    builder = GraphBuilder([MODULE], auto_connect=False).load(graph.model_dump())
    assert same(builder.draft(), graph)

    code = builder.to_python()
    names: dict[str, Any] = {}
    exec(compile(code, "<graph>", "exec"), names)  # the code is ours, of a graph that this test has made

    assert same(names["graph"], graph)
    assert names["builder"].to_python() == code


TIMINGS = st.dictionaries(NAMES, st.builds(Timing, st.sampled_from(STATES), st.none() | st.integers(0, 10**9)))


@settings(max_examples=60, deadline=None)
@given(graphs(), TIMINGS)
@example(Graph(), {})
def test_drawings_have_every_node_and_edge_and_nothing_else(graph: Graph, timings: dict[str, Timing]) -> None:
    for drawn in (read_mermaid(to_mermaid(graph, timings)), read_dot(to_dot(graph, timings))):
        places = {node.id: place for place, node in enumerate(graph.nodes)}
        assert drawn.nodes == list(places.values())
        assert drawn.edges == [(places[edge.source], places[edge.target]) for edge in graph.edges]
