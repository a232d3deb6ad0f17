"""Files as other programs save them: what is read of each, and that the three shapes we write are read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from graphport.core.errors import GraphInvalid
from graphport.graph.catalogue import Catalogue
from graphport.graph.json_shapes import to_dependency_json, to_json, to_workglow_json
from graphport.graph.read import read_graph
from graphport.graph.validate import load_graph
from graphport.nodes import CORE_NODES

if TYPE_CHECKING:
    from graphport.graph.model import Graph

FILES: Final = sorted((Path(__file__).parent / "files").glob("*.json"))
CATALOGUE: Final = Catalogue(CORE_NODES)

NODES: Final[dict[str, dict[str, str]]] = {
    "pantograph": {
        "user-input": "text-input",
        "text-output": "text-output",
        "component-preview": "component-preview",
    },
    "pantograph_groups": {
        "text-input-1": "text-input",
        "text-output-1": "text-output",
        "merge-1": "merge",
        "text-output-2": "text-output",
    },
    "react_flow": {"dndnode_0": "text-input", "dndnode_1": "merge", "dndnode_2": "text-output"},
    "workglow_dependencies": {"first": "text-input", "second": "text-input", "join": "merge", "shown": "text-output"},
    "workglow_nodes": {"in": "text-input", "out": "text-output"},
    "workglow_tasks": {
        "0e2b6c1e-6f0f-4c4e-9a63-6d9c3f0f5a11": "text-input",
        "7d7c1b0a-51d7-4b49-b9f3-2f4f4f9c8a01": "merge",
        "a": "text-output",
    },
}
EDGES: Final[dict[str, set[str]]] = {
    "pantograph": {"user-input.text > text-output.text"},
    "pantograph_groups": {
        "text-input-1.text > merge-1.inputs",
        "merge-1.merged > text-output-2.text",
        "text-output-2.text > text-output-1.text",
    },
    "react_flow": {"dndnode_0.text > dndnode_1.inputs", "dndnode_1.merged > dndnode_2.text"},
    "workglow_dependencies": {
        "first.text > join.inputs",
        "second.text > join.inputs",
        "join.merged > shown.text",
    },
    "workglow_nodes": {"in.text > out.text"},
    "workglow_tasks": {
        "0e2b6c1e-6f0f-4c4e-9a63-6d9c3f0f5a11.text > 7d7c1b0a-51d7-4b49-b9f3-2f4f4f9c8a01.inputs",
        "7d7c1b0a-51d7-4b49-b9f3-2f4f4f9c8a01.merged > a.text",
    },
}

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def load(path: Path) -> Graph:
    return load_graph(json.loads(path.read_text()), CATALOGUE)


def edges(graph: Graph) -> list[str]:
    return [f"{one.source}.{one.source_handle} > {one.target}.{one.target_handle}" for one in graph.edges]


def faults(raw: Any) -> list[tuple[str, str, str | None]]:
    return [(fault.code, fault.message, fault.node) for fault in read_graph(raw).faults]


def test_there_are_files_of_all_kinds() -> None:
    assert [path.stem for path in FILES] == sorted(NODES) == sorted(EDGES)


@each_file
def test_the_nodes_and_edges_of_a_file_are_read(path: Path) -> None:
    graph = load(path)

    assert {node.id: node.type for node in graph.nodes} == NODES[path.stem]
    assert len(graph.edges) == len(EDGES[path.stem])
    assert set(edges(graph)) == EDGES[path.stem]


@each_file
def test_what_is_written_of_a_file_is_read_as_the_same_graph(path: Path) -> None:
    graph = load(path)

    for written in (to_json(graph), to_workglow_json(graph)):
        assert load_graph(json.loads(json.dumps(written)), CATALOGUE) == graph
    again = load_graph(json.loads(json.dumps(to_dependency_json(graph))), CATALOGUE)
    assert again.nodes == graph.nodes
    assert sorted(edges(again)) == sorted(edges(graph))


def test_values_labels_and_places_are_kept() -> None:
    graph = load(FILES[0].with_name("react_flow.json"))

    assert graph.nodes[0].data["text"] == "Why is the sky blue?"
    assert graph.nodes[0].position == {"x": -120.5, "y": 40}
    assert graph.model_extra == {"viewport": {"x": 211.5, "y": 96, "zoom": 1.25}}
    assert load(FILES[0].with_name("workglow_tasks.json")).nodes[0].data == {"text": "Hello"}
    assert load(FILES[0].with_name("workglow_nodes.json")).nodes[0].data == {"text": "Hello"}


def test_several_sources_of_an_input_keep_their_order() -> None:
    graph = load(FILES[0].with_name("workglow_dependencies.json"))

    assert edges(graph)[:2] == ["first.text > join.inputs", "second.text > join.inputs"]


def test_a_list_of_dependencies_is_written_as_workglow_writes_it() -> None:
    path = FILES[0].with_name("workglow_dependencies.json")
    wanted = [{"defaults": {}, **task} for task in json.loads(path.read_text())]

    assert to_dependency_json(load(path)) == wanted


def test_settings_go_with_dependencies_in_a_map() -> None:
    raw = {"nodes": [{"id": "a", "type": "text-input"}], "settings": {"depth": 3}}

    written = to_dependency_json(load_graph(raw, CATALOGUE))

    assert written == {"tasks": [{"id": "a", "type": "text-input", "defaults": {}}], "settings": {"depth": 3}}
    assert load_graph(written, CATALOGUE).settings == {"depth": 3}


def test_a_type_that_data_names_too_does_not_change_the_type() -> None:
    raw = {"nodes": [{"id": "a", "node_type": "merge", "data": {"nodeType": "text-input", "inputs": ["x"]}}]}
    graph = load_graph(raw, CATALOGUE)

    assert graph.nodes[0].type == "merge"
    for written in (to_json(graph), to_workglow_json(graph), to_dependency_json(graph)):
        assert load_graph(written, CATALOGUE) == graph


def test_what_is_written_is_a_copy() -> None:
    graph = load_graph({"nodes": [{"id": "a", "type": "merge", "data": {"inputs": ["x"]}}]}, CATALOGUE)

    to_json(graph)["nodes"][0]["data"]["inputs"].append("y")

    assert graph.nodes[0].data == {"inputs": ["x"]}


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ([{"type": "merge"}], ("Node number 1 has no `id`.", None)),
        ([{"id": "a"}, {"id": "b", "type": "merge"}], ("Node 'a' has no `type`.", "a")),
        ([{"id": 5, "type": "merge"}], ("Node number 1 is wrong: `id` should be a string, got 5.", None)),
        (
            [{"id": "a", "type": "merge", "defaults": []}],
            ("Node 'a' is wrong: `data` should be a map, got [].", "a"),
        ),
        (
            [{"id": "a", "type": "merge", "dependencies": {"inputs": {"output": "text"}}}],
            ("Node 'a' is wrong: what its input 'inputs' depends on has no `id`.", "a"),
        ),
        (
            [{"id": "a", "type": "merge", "dependencies": {"inputs": [{"id": "b"}]}}],
            ("Node 'a' is wrong: what its input 'inputs' depends on has no `output`.", "a"),
        ),
        (
            [{"id": "a", "type": "merge", "dependencies": {"inputs": [{"id": 7, "output": "x"}]}}],
            ("Node 'a' is wrong: what its input 'inputs' depends on has an `id` that is no string: 7.", "a"),
        ),
        (
            [{"id": "a", "type": "merge", "dependencies": {"inputs": "b"}}],
            (
                "Node 'a' is wrong: what its input 'inputs' depends on should be a map of `id` and `output`, got 'b'.",
                "a",
            ),
        ),
        (
            [{"id": "a", "type": "merge", "dependencies": ["b"]}],
            ("Node 'a' is wrong: `dependencies` should be a map of inputs, got ['b'].", "a"),
        ),
        (
            {"tasks": [{"id": "a", "type": "merge"}], "dataflows": [5]},
            ("Edge number 1 is wrong: should be a map, got 5.", None),
        ),
        (
            {"tasks": [{"id": "a", "type": "merge"}], "dataflows": [{"sourceTaskId": "a", "targetTaskId": "a"}]},
            ("Edge number 1 (a → a) has no `source_handle`.", "a"),
        ),
        (
            {"tasks": [{"id": "a", "type": "merge", "subgraph": {"tasks": [{"id": "b"}]}}]},
            ("Node 'a' holds a graph of its own (`subgraph`), which cannot be read.", "a"),
        ),
    ],
)
def test_what_is_wrong_in_workglows_shapes_is_a_sentence(raw: Any, fault: tuple[str, str | None]) -> None:
    first, *_ = faults(raw)

    assert first == ("bad_message", *fault)


def test_a_dependency_on_a_node_that_is_not_there_is_a_dangling_edge() -> None:
    raw = [{"id": "a", "type": "text-output", "dependencies": {"text": {"id": "gone", "output": "text"}}}]

    with pytest.raises(GraphInvalid) as caught:
        load_graph(raw, CATALOGUE)

    assert [fault["code"] for fault in (caught.value.details or {})["faults"]] == ["dangling_edge"]


def test_ids_that_occur_twice_are_told_when_read_and_refused_when_written() -> None:
    raw = [{"id": "a", "type": "text-input"}, {"id": "a", "type": "text-output"}]

    with pytest.raises(GraphInvalid) as read:
        load_graph(raw, CATALOGUE)
    with pytest.raises(GraphInvalid) as written:
        to_dependency_json(read_graph(raw).graph)

    for caught in (read, written):
        assert [fault["code"] for fault in (caught.value.details or {})["faults"]] == ["duplicate_id"]


def test_groups_in_groups_are_opened() -> None:
    inner = {
        "id": "inner",
        "nodes": [{"id": "m", "nodeType": "merge"}],
        "edges": [],
        "exposedInputs": [{"internalNodeId": "m", "internalPortId": "inputs", "groupPortId": "p"}],
    }
    outer = {
        "id": "outer",
        "nodes": [{"id": "inner", "nodeType": "node-group"}],
        "edges": [],
        "exposedInputs": [{"internalNodeId": "inner", "internalPortId": "p", "groupPortId": "q"}],
    }
    raw = {
        "nodes": [{"id": "outer", "nodeType": "node-group"}, {"id": "t", "nodeType": "text-input"}],
        "edges": [{"source": "t", "sourceHandle": "text", "target": "outer", "targetHandle": "q"}],
        "groups": [outer, inner],
    }

    graph = load_graph(raw, CATALOGUE)

    assert [node.id for node in graph.nodes] == ["t", "m"]
    assert edges(graph) == ["t.text > m.inputs"]


def test_a_group_that_is_unfolded_adds_nothing_twice() -> None:
    raw = json.loads(FILES[0].with_name("pantograph_groups.json").read_text())
    group = raw["groups"][0]
    raw["nodes"] += group["nodes"]
    raw["edges"] += group["edges"]

    graph = load_graph(raw, CATALOGUE)

    assert {node.id: node.type for node in graph.nodes} == NODES["pantograph_groups"]
    assert sorted(edges(graph)) == sorted(EDGES["pantograph_groups"])


@pytest.mark.parametrize("groups", [5, [5], [{}], [{"id": 3, "nodes": 4, "edges": "x", "exposedInputs": [7]}]])
def test_groups_that_are_none_are_left_out(groups: Any) -> None:
    raw = {"nodes": [{"id": "a", "type": "text-input"}], "edges": [], "groups": groups}

    assert [node.id for node in load_graph(raw, CATALOGUE).nodes] == ["a"]


def test_groups_whose_ports_lead_in_a_circle_end() -> None:
    port = {"internalNodeId": "g", "internalPortId": "p", "groupPortId": "p"}
    edge = {"source": "a", "sourceHandle": "text", "target": "g", "targetHandle": "p"}
    raw = {
        "nodes": [{"id": "a", "type": "text-input"}],
        "edges": [edge],
        "groups": [{"id": "g", "exposedInputs": [port]}],
    }

    assert faults(raw) == []
