"""What each kind of edit does to a graph, and what each bad one is refused with."""

from __future__ import annotations

from typing import Any

import pytest

from graphport.core.errors import GraphInvalid
from graphport.graph.catalogue import Catalogue
from graphport.graph.compile import CompiledGraph
from graphport.graph.recompile import Recompiled, recompile
from graphport.graph.validate import load_graph
from graphport.nodes import CORE_NODES

CATALOGUE = Catalogue()
for load in CORE_NODES.values():
    CATALOGUE.register(load())


def text(node_id: str, value: str = "x") -> dict[str, Any]:
    return {"id": node_id, "type": "text-input", "data": {"text": value}}


def wire(source: str, target: str, port: str = "text") -> dict[str, str]:
    return {"source": source, "source_handle": "text", "target": target, "target_handle": port}


def opened() -> CompiledGraph:
    """`a` and `b` lead to `merge`, `a` to `out`."""
    graph = {
        "nodes": [
            text("a"),
            text("b"),
            {"id": "merge", "type": "merge"},
            {"id": "out", "type": "text-output", "position": {"x": 1}},
        ],
        "edges": [wire("a", "merge", "inputs"), wire("b", "merge", "inputs"), wire("a", "out")],
        "settings": {"mood": "good"},
    }
    return CompiledGraph(load_graph(graph, CATALOGUE), CATALOGUE)


def edit(*edits: Any, base: CompiledGraph | None = None) -> Recompiled:
    return recompile(base or opened(), list(edits), CATALOGUE, stats={})


def faults(*edits: Any) -> list[tuple[str, str | None]]:
    """Codes and nodes of the faults; the base is checked to be as it was."""
    base = opened()
    before = base.source.model_dump(), [node.static_digest for node in base.nodes], list(base.index), base.revision
    with pytest.raises(GraphInvalid) as refused:
        edit(*edits, base=base)
    assert before == (
        base.source.model_dump(),
        [node.static_digest for node in base.nodes],
        list(base.index),
        base.revision,
    )
    assert refused.value.code == "invalid_graph"
    return told(refused.value)


def told(error: GraphInvalid) -> list[tuple[str, str | None]]:
    assert error.details is not None
    return [(fault["code"], fault.get("node")) for fault in error.details["faults"]]


def dump(edited: Recompiled) -> dict[str, Any]:
    return edited.graph.source.model_dump()


def test_set_merges_data_and_null_takes_a_key_out() -> None:
    edited = edit({"set": "a", "data": {"text": "y", "note": 1}}, {"set": "a", "data": {"note": None, "more": [2]}})

    assert dump(edited)["nodes"][0]["data"] == {"text": "y", "more": [2]}
    assert edited.dirty == ["a", "merge", "out"]
    assert edited.graph.revision == 2


def test_data_that_is_no_input_dirties_nothing() -> None:
    assert edit({"set": "a", "data": {"label": "Question"}}).dirty == []


def test_data_under_an_edge_dirties_nothing() -> None:
    assert edit({"set": "out", "data": {"text": "behind the edge"}}).dirty == []


def test_the_same_data_again_dirties_nothing() -> None:
    assert edit({"set": "a", "data": {"text": "y"}}, {"set": "a", "data": {"text": "x"}}).dirty == []


def test_put_adds_a_node() -> None:
    edited = edit({"put": text("c")}, {"connect": wire("c", "merge", "inputs")})

    assert list(edited.graph.index) == ["a", "b", "merge", "out", "c"]
    assert edited.dirty == ["merge", "c"]
    assert [edge[0] for edge in edited.graph.nodes[2].edges] == [0, 1, 4]


def test_put_replaces_a_node_which_keeps_its_place_and_its_edges() -> None:
    node = {"id": "a", "type": "linked-input", "data": {"linked_value": "y"}}

    edited = edit({"put": node}, {"disconnect": wire("a", "out")}, {"disconnect": wire("a", "merge", "inputs")})

    assert list(edited.graph.index) == ["a", "b", "merge", "out"]
    assert edited.graph.sinks == ["a", "merge", "out"]
    assert edited.dirty == ["a", "merge", "out"]


def test_put_reads_what_react_flow_saves() -> None:
    item = {"id": "c", "type": "custom", "data": {"nodeType": "text-output"}}
    edge = {"source": "a", "sourceHandle": "text", "target": "c", "targetHandle": "text"}

    edited = edit({"put": item}, {"connect": edge})

    assert edited.graph.nodes[4].type.spec.type == "text-output"
    assert edited.graph.sinks == ["merge", "out", "c"]


def test_remove_takes_the_edges_along() -> None:
    edited = edit({"remove": "a"})

    assert dump(edited)["edges"] == (wire("b", "merge", "inputs"),)
    assert edited.dirty == ["merge", "out"]
    assert edited.removed == {"a"}
    assert edited.graph.sinks == ["merge", "out"]


def test_a_node_that_is_put_again_has_no_edges_and_stands_last() -> None:
    edited = edit({"remove": "a"}, {"put": text("a")})

    assert list(edited.graph.index) == ["b", "merge", "out", "a"]
    assert dump(edited)["edges"] == (wire("b", "merge", "inputs"),)
    assert not edited.removed


def test_an_edge_goes_with_a_node_that_is_put_again() -> None:
    edited = edit({"put": text("c")}, {"connect": wire("c", "merge", "inputs")}, {"remove": "c"}, {"put": text("c")})

    assert len(dump(edited)["edges"]) == 3


def test_a_single_port_is_rewired_in_one_update_in_either_order() -> None:
    one = edit({"connect": wire("b", "out")}, {"disconnect": wire("a", "out")})
    other = edit({"disconnect": wire("a", "out")}, {"connect": wire("b", "out")})

    assert dump(one) == dump(other)
    assert one.dirty == other.dirty == ["out"]


def test_disconnect_removes_all_edges_of_these_ends() -> None:
    edited = edit({"connect": wire("a", "merge", "inputs")}, {"disconnect": wire("a", "merge", "inputs")})

    assert [edge["source"] for edge in dump(edited)["edges"]] == ["b", "a"]


def test_an_edge_that_was_removed_and_added_stands_last() -> None:
    edited = edit({"disconnect": wire("a", "merge", "inputs")}, {"connect": wire("a", "merge", "inputs")})

    assert [edge[0] for edge in edited.graph.nodes[2].edges] == [1, 0]
    assert edited.dirty == ["merge"]


def test_settings_merge() -> None:
    edited = edit({"settings": {"tone": "dry", "mood": None}})

    assert dump(edited)["settings"] == {"tone": "dry"}
    assert edited.dirty == []


def test_no_edits_make_a_revision_all_the_same() -> None:
    assert edit().graph.revision == 2


def test_compiled_nodes_that_are_not_touched_are_shared() -> None:
    base = opened()

    edited = edit({"set": "b", "data": {"text": "y"}}, base=base).graph

    assert [new is old for new, old in zip(edited.nodes, base.nodes, strict=True)] == [True, False, True, True]
    assert edited.index is base.index


def test_plans_without_a_touched_node_are_shared_and_others_take_the_node_over() -> None:
    base = opened()
    out, merge = base.plan_of("out"), base.plan_of("merge")
    assert merge is not None

    edited = edit({"set": "b", "data": {"text": "y"}}, base=base).graph

    assert edited.plan_of("out") is out
    kept = edited.plan_of("merge")
    assert kept is not None
    assert kept is not merge
    assert kept.edges is merge.edges
    assert kept.nodes[merge.position["b"]] is edited.nodes[1]
    assert merge.nodes[merge.position["b"]] is base.nodes[1]


def test_plans_keep_their_targets_when_nodes_move_up() -> None:
    base = opened()
    out = base.plan_of("out")

    edited = edit({"remove": "b"}, base=base).graph

    assert edited.index["out"] == 2
    assert edited.plan_of("out") is out


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([{"set": "nope", "data": {}}], [("unknown_node", "nope")]),
        ([{"remove": "nope"}], [("unknown_node", "nope")]),
        ([{"remove": "a"}, {"remove": "a"}], [("unknown_node", "a")]),
        ([{"set": "a", "data": {"text": 7}}], [("invalid_input", "a")]),
        ([{"set": "a", "data": []}], [("bad_message", "a")]),
        ([{"set": "a", "data": {1: 2}}], [("bad_message", "a")]),
        ([{"set": "a"}], [("bad_message", None)]),
        ([{"set": 1, "data": {}}], [("bad_message", None)]),
        ([{"set": "a", "data": {}, "put": text("c")}], [("bad_message", None)]),
        ([{"remove": "a", "why": "so"}], [("bad_message", None)]),
        ([{}], [("bad_message", None)]),
        ([None, 1, "a", []], [("bad_message", None)] * 4),
        ([{1: 2}], [("bad_message", None)]),
        ([{"frobnicate": "a"}], [("bad_message", None)]),
        ([{"put": {"id": "c"}}], [("bad_message", "c")]),
        ([{"put": {"type": "merge"}}], [("bad_message", None)]),
        ([{"put": 5}], [("bad_message", None)]),
        ([{"put": {"id": "c", "type": "nope"}}], [("unknown_type", "c")]),
        ([{"put": {"id": "a", "type": "merge"}}], [*[("dangling_edge", "a")] * 2, ("missing_input", "a")]),
        ([{"connect": {"source": "a"}}], [("bad_message", None)] * 3),
        ([{"connect": wire("a", "nope")}], [("dangling_edge", "nope")]),
        ([{"connect": wire("nope", "merge", "inputs")}], [("dangling_edge", "nope")]),
        ([{"connect": wire("a", "merge", "nope")}], [("dangling_edge", "merge")]),
        ([{"connect": wire("b", "out")}], [("duplicate_edge", "out")]),
        ([{"disconnect": wire("b", "out")}], [("unknown_edge", "out")]),
        ([{"disconnect": wire("nope", "neither")}], [("unknown_edge", None)]),
        ([{"disconnect": wire("a", "out")}, {"disconnect": wire("a", "out")}], [("unknown_edge", "out")]),
        ([{"remove": "a"}, {"disconnect": wire("a", "out")}], [("unknown_edge", "out")]),
        ([{"settings": []}], [("bad_message", None)]),
        ([{"put": {"id": "v", "type": "json-filter"}}], [("missing_input", "v")]),
    ],
)  # fmt: skip
def test_a_bad_edit_is_refused_and_nothing_is_changed(edits: list[Any], expected: list[tuple[str, str | None]]) -> None:
    good = [{"set": "b", "data": {"text": "z"}}, {"put": text("extra")}]

    assert faults(*good, *edits) == expected


def test_a_circle_made_by_an_edit_is_named() -> None:
    assert faults({"connect": {**wire("merge", "a"), "source_handle": "merged"}}) == [("cycle", "a")]


def test_a_node_that_reads_itself_is_a_circle() -> None:
    assert faults({"connect": {**wire("merge", "merge", "inputs"), "source_handle": "merged"}}) == [("cycle", "merge")]


def test_two_edges_on_a_single_port_are_both_named() -> None:
    with pytest.raises(GraphInvalid, match=r"from a\.text and b\.text"):
        edit({"connect": wire("b", "out")})


def test_all_faults_are_told_at_once() -> None:
    found = faults({"remove": "nope"}, {"set": "a", "data": {"text": 7}}, {"connect": wire("b", "out")}, "what")

    assert sorted(code for code, _ in found) == ["bad_message", "duplicate_edge", "invalid_input", "unknown_node"]


def test_what_names_a_node_that_could_not_be_put_is_no_further_fault() -> None:
    found = faults({"put": {"id": "c"}}, {"set": "c", "data": {}}, {"connect": wire("c", "merge", "inputs")})

    assert found == [("bad_message", "c")]


def test_faults_of_many_edits_are_cut() -> None:
    assert len(faults(*[{"remove": f"nope{index}"} for index in range(20_000)])) == 10_000


def test_values_under_an_edge_are_looked_at_when_the_edge_goes() -> None:
    base = edit({"set": "out", "data": {"text": 7}}).graph

    with pytest.raises(GraphInvalid) as refused:
        edit({"disconnect": wire("a", "out")}, base=base)

    assert told(refused.value) == [("invalid_input", "out")]
