"""Reading plain data: the shapes that are taken, and the fault each wrong shape gives."""

from __future__ import annotations

from typing import Any

import pytest

from graphport.graph.model import Edge, Node
from graphport.graph.read import read_graph

EDGE = {"source": "a", "source_handle": "text", "target": "b", "target_handle": "text"}


def node(node_id: str = "a", **more: Any) -> dict[str, Any]:
    return {"id": node_id, "type": "text-input", **more}


def types(raw: Any, known: tuple[str, ...] = ()) -> dict[str, str]:
    reading = read_graph(raw, known)
    assert reading.faults == []
    return {one.id: one.type for one in reading.graph.nodes}


def messages(raw: Any) -> list[str]:
    reading = read_graph(raw)
    assert {fault.code for fault in reading.faults} <= {"bad_message"}
    return [fault.message for fault in reading.faults]


def test_our_own_shape_is_read_with_order_data_and_settings() -> None:
    raw = {
        "nodes": [node("b", data={"text": "x"}, position={"x": 1, "y": 2}), node("a")],
        "edges": [EDGE],
        "settings": {"temperature": 0.5},
    }

    graph = read_graph(raw).graph

    assert [one.id for one in graph.nodes] == ["b", "a"]
    assert graph.nodes[0].data == {"text": "x"}
    assert graph.nodes[0].position == {"x": 1, "y": 2}
    assert graph.edges == (Edge(source="a", source_handle="text", target="b", target_handle="text"),)
    assert graph.settings == {"temperature": 0.5}


def test_edges_and_settings_may_be_left_out_or_null() -> None:
    absent: dict[str, Any] = {}
    for rest in (absent, {"edges": None, "settings": None}):
        graph = read_graph({"nodes": [], **rest}).graph
        assert (graph.nodes, graph.edges, graph.settings) == ((), (), {})


def test_unknown_keys_are_kept() -> None:
    raw = {"nodes": [node(selected=True)], "edges": [{**EDGE, "id": "e1"}], "viewport": {"zoom": 1}}

    graph = read_graph(raw).graph

    assert graph.nodes[0].model_dump()["selected"] is True
    assert graph.edges[0].model_dump()["id"] == "e1"
    assert graph.model_dump()["viewport"] == {"zoom": 1}


def test_reading_leaves_the_input_as_it_was() -> None:
    raw: dict[str, Any] = {
        "nodes": [{"id": "a", "nodeType": "merge", "data": None}],
        "edges": [{"source": "a", "sourceHandle": "x", "target": "a", "targetHandle": "y"}],
    }
    before = repr(raw)

    read_graph(raw)

    assert repr(raw) == before


@pytest.mark.parametrize(
    "fields",
    [
        {"node_type": "merge"},
        {"nodeType": "merge"},
        {"type": "merge"},
        {"type": "default", "data": {"node_type": "merge"}},
        {"type": "default", "data": {"nodeType": "merge"}},
        {"type": "default", "node_type": "merge"},
        {"node_type": "merge", "nodeType": "other", "data": {"node_type": "third"}},
        {"node_type": None, "type": "merge"},
        {"type": "merge", "data": None},
    ],
)
def test_the_type_is_found_wherever_editors_keep_it(fields: dict[str, Any]) -> None:
    assert types({"nodes": [{"id": "a", **fields}]}) == {"a": "merge"}


def test_react_flow_handles_are_read() -> None:
    edge = {"id": "e", "source": "a", "sourceHandle": "text", "target": "b", "targetHandle": "text"}

    assert read_graph({"nodes": [], "edges": [edge]}).graph.edges[0].source_handle == "text"


def test_a_graph_wrapper_is_opened() -> None:
    assert types({"version": "1.0", "graph": {"nodes": [node()]}}) == {"a": "text-input"}


def test_a_graph_key_beside_nodes_is_no_wrapper() -> None:
    assert types({"nodes": [node()], "graph": {"nodes": []}}) == {"a": "text-input"}


@pytest.mark.parametrize(
    ("node_id", "expected"),
    [("text-input-1", "text-input"), ("merge-a7", "merge"), ("merge", "merge"), ("text-input", "text-input")],
)
def test_ids_give_the_type_where_no_node_has_one(node_id: str, expected: str) -> None:
    assert types({"nodes": [{"id": node_id}]}, known=("text-input", "merge")) == {node_id: expected}


def test_ids_give_no_type_once_one_node_has_a_type() -> None:
    raw = {"nodes": [node("a"), {"id": "text-input-1"}]}

    assert messages(raw) == ["Node 'text-input-1' has no `type`."]


@pytest.mark.parametrize("raw", [None, 5, "graph", [], [1], True])
def test_what_is_no_map_is_one_fault(raw: Any) -> None:
    (message,) = messages(raw)

    assert message.startswith("A graph is a map with `nodes` and `edges`, got ")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "The graph's `nodes` should be a list, got none."),
        ({"nodes": {"a": 1}}, "The graph's `nodes` should be a list, got {'a': 1}."),
        ({"nodes": [], "edges": 7}, "The graph's `edges` should be a list, got 7."),
        (
            {"nodes": [], "settings": []},
            "The graph's `settings` should be a map with strings as keys, got [].",
        ),
        (
            {"nodes": [], "settings": {1: 2}},
            "The graph's `settings` should be a map with strings as keys, got {1: 2}.",
        ),
        ({"nodes": [5]}, "Node number 1 is wrong: should be a map, got 5."),
        ({"nodes": [{"type": "merge"}]}, "Node number 1 has no `id`."),
        ({"nodes": [{"id": None, "type": "merge"}]}, "Node number 1 has no `id`."),
        ({"nodes": [{"id": "", "type": "merge"}]}, "Node number 1 has an empty `id`."),
        ({"nodes": [{"id": 3, "type": "merge"}]}, "Node number 1 is wrong: `id` should be a string, got 3."),
        (
            {"nodes": [{"id": b"a", "type": "merge"}]},
            "Node number 1 is wrong: `id` should be a string, got b'a'.",
        ),
        ({"nodes": [{"id": "a", "type": 3}]}, "Node 'a' is wrong: `type` should be a string, got 3."),
        ({"nodes": [node(data=[1])]}, "Node 'a' is wrong: `data` should be a map, got [1]."),
        ({"nodes": [node(data={1: 2})]}, "Node 'a' has a key that is no string: 1."),
        ({"nodes": [dict([*node().items(), (1, 2)])]}, "Node 'a' has a key that is no string: 1."),
        ({"nodes": [], "edges": ["a"]}, "Edge number 1 is wrong: should be a map, got 'a'."),
        (
            {"nodes": [], "edges": [{**EDGE, "target_handle": None}]},
            "Edge number 1 (a → b) has no `target_handle`.",
        ),
        (
            {"nodes": [], "edges": [{**EDGE, "source_handle": 1}]},
            "Edge number 1 (a → b) is wrong: `source_handle` should be a string, got 1.",
        ),
    ],
)
def test_a_wrong_shape_is_a_sentence(raw: Any, message: str) -> None:
    assert messages(raw) == [message]


def test_faults_carry_the_id_of_their_node() -> None:
    reading = read_graph({"nodes": [{"id": "a", "type": 3}]})

    assert reading.faults[0].to_wire()["node"] == "a"
    assert reading.broken_nodes == {"a"}


def test_sound_parts_are_read_beside_broken_ones() -> None:
    reading = read_graph({"nodes": [5, node("a"), {"id": "b", "type": 1}, node("c")], "edges": [3, EDGE]})

    assert [one.id for one in reading.graph.nodes] == ["a", "c"]
    assert len(reading.graph.edges) == 1
    assert len(reading.faults) == 3
    assert reading.nameless_nodes
    assert reading.broken_edges


def test_text_that_is_no_unicode_is_a_fault() -> None:
    (message,) = messages({"nodes": [{"id": "\ud800", "type": "merge"}]})

    assert "Unicode" in message
    message.encode()


def test_a_long_value_is_shortened_in_messages() -> None:
    (message,) = messages({"nodes": [node(data="x" * 1_000_000)]})

    assert len(message) < 200


def test_models_are_frozen_and_strict() -> None:
    one = Node(id="a", type="b")

    with pytest.raises(ValueError, match="frozen"):
        one.id = "c"
    with pytest.raises(ValueError, match="string"):
        Node(id=1, type="b")
