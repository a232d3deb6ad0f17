"""Whatever is read as a graph, the answer is a graph or `GraphInvalid` with well-formed faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import example, given
from hypothesis import strategies as st

from graphport.core.errors import CODES, GraphInvalid
from graphport.graph.catalogue import Catalogue
from graphport.graph.read import read_graph
from graphport.graph.validate import load_graph, validate
from graphport.nodes import CORE_NODES

if TYPE_CHECKING:
    from graphport.graph.model import Graph

CATALOGUE = Catalogue({name: load for name, load in CORE_NODES.items() if name != "llamacpp-inference"})

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=8,
)
IDS = st.sampled_from(["a", "b", "text-input-1", "merge"])
TYPES = st.sampled_from([*CATALOGUE.names(), "merg"])
PORTS = st.sampled_from(["text", "value", "inputs", "merged", "json", "true_out", "condition", "nothing"])


def _map_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Maps in which each key has its own kind of value, or junk, or is absent."""
    return st.fixed_dictionaries({}, optional={key: value | JUNK for key, value in fields.items()})


DATA = _map_of(text=st.text(), value=SCALARS, node_type=TYPES, path=st.text(), condition=st.booleans())
NODES = _map_of(id=IDS, type=TYPES, node_type=TYPES, nodeType=TYPES, data=DATA, position=JUNK)
EDGES = _map_of(
    source=IDS, target=IDS, source_handle=PORTS, target_handle=PORTS, sourceHandle=PORTS, targetHandle=PORTS
)
GRAPHS = _map_of(
    nodes=st.lists(NODES | JUNK, max_size=5), edges=st.lists(EDGES | JUNK, max_size=5), settings=JUNK, graph=JUNK
)


def load(raw: Any) -> Graph | None:
    """The graph, or None if it was refused in the proper way. Anything else that is raised fails the test."""
    try:
        return load_graph(raw, CATALOGUE)
    except GraphInvalid as error:
        wire = error.to_wire()
        faults = wire["details"]["faults"]
        assert wire["code"] == "invalid_graph"
        assert faults
        for fault in faults:
            assert fault.keys() <= {"code", "message", "node", "port"}
            assert all(isinstance(value, str) and value for value in fault.values())
            assert fault["code"] in CODES
        return None


@given(JUNK)
@example({"nodes": [{"id": "\ud800", "type": "merge"}]})
@example({"nodes": [{"id": "a", "type": "merge", "data": {"\ud800": 1}}]})
@example({"nodes": [{"id": "a", "type": "text-output", "data": {"text": 10**5000}}]})
@example({"nodes": [{"id": "a", "type": ["unhashable"]}]})
def test_junk_is_refused_in_the_proper_way(raw: Any) -> None:
    load(raw)


@given(GRAPHS)
def test_nearly_graphs_are_read_or_refused_in_the_proper_way(raw: Any) -> None:
    graph = load(raw)

    if graph is not None:
        validate(graph, CATALOGUE)
        again = load(graph.model_dump())
        assert again is not None
        assert repr(again.model_dump()) == repr(graph.model_dump())


@given(GRAPHS)
def test_reading_changes_nothing_and_says_the_same_twice(raw: Any) -> None:
    before = repr(raw)

    first, second = read_graph(raw), read_graph(raw)

    assert repr(raw) == before
    assert first.faults == second.faults


@given(GRAPHS)
def test_every_node_is_read_or_named_broken(raw: dict[str, Any]) -> None:
    nodes = raw.get("nodes")
    reading = read_graph(raw)

    if isinstance(nodes, list):
        assert len(reading.graph.nodes) + len(reading.broken_nodes) <= len(nodes)
        if not reading.faults:
            assert len(reading.graph.nodes) == len(nodes)
