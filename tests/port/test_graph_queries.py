"""What an engine answers when asked for a graph: over the pipe, large ones in parts and beside the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.port_client import PortClient

MANY = 3_000


def chain(length: int) -> dict[str, object]:
    """A chain of text nodes."""
    nodes = [{"id": f"n{number}", "type": "text-output", "data": {"text": None}} for number in range(length)]
    edges = [
        {"source": f"n{number}", "source_handle": "text", "target": f"n{number + 1}", "target_handle": "text"}
        for number in range(length - 1)
    ]
    return {"nodes": nodes, "edges": edges}


@pytest.mark.parametrize("length", [2, MANY])
def test_the_graph_comes_back_as_it_was_opened(engine: PortClient, length: int) -> None:
    graph = chain(length)
    engine.open(graph)

    engine.send(["query", 7, "graph", {"session": 1}])

    assert engine.next("reply") == ["reply", 7, graph]


def test_large_graphs_of_every_shape_are_loaded_and_drawn_while_others_are_answered(engine: PortClient) -> None:
    engine.open(chain(2), session=2, req=2)
    graph = {
        "tasks": [{"id": "a", "type": "text-input"}, {"id": "m", "type": "merge"}],
        "dataflows": [
            {"sourceTaskId": "a", "sourceTaskPortId": "text", "targetTaskId": "m", "targetTaskPortId": "inputs"}
            for _ in range(MANY)
        ],
    }
    engine.open(graph, session=3, req=3)

    engine.send(["query", 8, "mermaid", {"session": 3}])
    engine.send(["query", 9, "dot", {"session": 2}])

    assert engine.next("reply")[1] == 9
    _, req, text = engine.next("reply")
    assert req == 8
    assert text.count("-->") == MANY


def test_after_an_edit_it_is_the_edited_graph(engine: PortClient) -> None:
    engine.open({"tasks": [{"id": "a", "type": "text-input", "defaults": {"text": "x"}}], "dataflows": []})

    engine.send(["update", 5, 1, [{"set": "a", "data": {"text": "y"}}, {"put": {"id": "b", "type": "text-output"}}]])
    assert engine.next("reply")[1] == 5
    engine.send(["query", 6, "graph", {"session": 1}])

    nodes = [
        {"id": "a", "type": "text-input", "data": {"text": "y"}},
        {"id": "b", "type": "text-output", "data": {}},
    ]
    assert engine.next("reply") == ["reply", 6, {"nodes": nodes, "edges": []}]
