"""What can be wrong with a graph within a graph, and where the fault is said to be."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.compounds import held, inner, with_graphs
from tests.support.evaluation import graph, make_type

from graphport.contracts.node import PortSpec
from graphport.core.errors import GraphInvalid
from graphport.graph.catalogue import Catalogue
from graphport.graph.compile import CompiledGraph
from graphport.graph.definitions import definitions_of
from graphport.graph.validate import load_graph
from graphport.nodes import CORE_NODES

CATALOGUE = Catalogue(CORE_NODES)
CATALOGUE.register(make_type("same", lambda i, c: {"value": i["x"]}, inputs=["x"]))
CATALOGUE.register(
    make_type("needy", lambda i, c: {"value": 1}, inputs=[PortSpec(name="x", type="integer", required=True)])
)
CATALOGUE.register(make_type("text", lambda i, c: {"value": ""}, outputs=[PortSpec(name="value", type="string")]))


def faults(raw: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    """Code, node and port of every fault."""
    with pytest.raises(GraphInvalid) as caught:
        load_graph(raw, CATALOGUE)
    found = (caught.value.details or {})["faults"]
    return [(fault["code"], fault.get("node"), fault.get("port")) for fault in found]


def message(raw: dict[str, Any]) -> str:
    with pytest.raises(GraphInvalid) as caught:
        load_graph(raw, CATALOGUE)
    text: str = (caught.value.details or {})["faults"][0]["message"]
    return text


SAME = inner({"s": "same"}, "in-x.value -> s.x", inputs={"x": {"type": "integer"}}, outputs={"y": "s.value"})


def test_a_fault_within_a_graph_is_named_by_its_path() -> None:
    broken = inner({"bad": "nothing-like-it", "n": "needy"}, outputs={"y": "n.value"})
    middle = inner({"m": held(broken)}, outputs={"y": "m.y"})

    assert faults(graph({"c": held(middle)})) == [("unknown_type", "c/m/bad", None), ("missing_input", "c/m/n", "x")]
    assert message(graph({"c": held(middle)})).startswith("In the graph of 'c/m': Node 'bad'")


def test_a_named_graph_is_checked_once_however_many_hold_it_and_also_if_none_does() -> None:
    broken = inner({"n": "needy"}, outputs={"y": "n.value"})
    raw = with_graphs(graph({"a": held("g"), "b": held("g")}), g=broken, unused=broken)

    assert faults(raw) == [("missing_input", "a/n", "x"), ("missing_input", "unused/n", "x")]


@pytest.mark.parametrize(
    ("edge", "expected"),
    [
        ("a.value -> c.z", ("dangling_edge", "c", "z")),
        ("c.z -> a.x", ("dangling_edge", "c", "z")),
        ("t.value -> c.x", ("incompatible_ports", "c", "x")),
    ],
)
def test_edges_are_held_to_the_ports_that_the_inner_graph_declares(edge: str, expected: tuple[str, str, str]) -> None:
    assert faults(graph({"a": "same", "t": "text", "c": held(SAME)}, edge)) == [expected]


def test_a_required_input_of_the_inner_graph_is_required_of_its_holder() -> None:
    needs = inner({"s": "same"}, "in-x.value -> s.x", inputs={"x": {"required": True}}, outputs={"y": "s.value"})

    assert faults(graph({"c": held(needs)})) == [("missing_input", "c", "x")]
    load_graph(graph({"c": held(needs, x=1)}), CATALOGUE)


def test_data_are_held_to_the_declared_type() -> None:
    assert faults(graph({"c": held(SAME, x="text")})) == [("invalid_input", "c", "x")]


@pytest.mark.parametrize(
    ("data", "code"),
    [({}, "invalid_input"), ({"graph": 5}, "invalid_input"), ({"graph": "gone"}, "unknown_graph")],
)
def test_a_node_that_holds_no_graph(data: dict[str, Any], code: str) -> None:
    assert faults(graph({"c": ("graph", data), "s": "same"}, "c.y -> s.x")) == [(code, "c", "graph")]


@pytest.mark.parametrize(
    "data",
    [
        {"name": 5},
        {"name": ""},
        {"name": "[error]"},
        {"type": 5},
        {"required": "yes"},
        {"type": "integer", "default": "text"},
    ],
)
def test_what_a_declared_port_cannot_be(data: dict[str, Any]) -> None:
    raw = graph({"c": held(graph({"i": ("graph-input", data)}))})

    assert faults(raw) == [("invalid_input", "c/i", None)]


def test_two_nodes_that_declare_one_port() -> None:
    twice = graph({"a": ("graph-input", {"name": "x"}), "b": ("graph-input", {"name": "x"})})

    assert faults(graph({"c": held(twice)})) == [("duplicate_id", "c/b", "name")]


def test_an_input_whose_name_the_holder_has_for_itself() -> None:
    assert faults(graph({"c": held(graph({"i": ("graph-input", {"name": "graph"})}))})) == [
        ("invalid_input", "c", None)
    ]


def test_an_undeclared_name_is_the_id_of_the_node() -> None:
    raw = graph({"c": held(graph({"x": "graph-input"}))})
    compiled = CompiledGraph(load_graph(raw, CATALOGUE), CATALOGUE)

    assert [port.name for port in compiled.nodes[0].type.spec.inputs] == ["x"]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_graphs_that_hold_each_other_in_a_circle(length: int) -> None:
    graphs = {
        f"g{place}": inner({"c": held(f"g{(place + 1) % length}")}, outputs={"y": "c.y"}) for place in range(length)
    }
    raw = with_graphs(graph({"top": held("g0")}), **graphs)

    assert [code for code, _, _ in faults(raw)] == ["cycle"]
    names = [repr(f"g{place}") for place in range(length)]
    assert " → ".join([*names, names[0]]) in message(raw)


def test_a_circle_is_found_through_a_graph_without_a_name() -> None:
    nameless = inner({"back": held("g")}, outputs={"y": "back.y"})
    raw = with_graphs(graph({"top": held("g")}), g=inner({"c": held(nameless)}, outputs={"y": "c.y"}))

    assert [code for code, _, _ in faults(raw)] == ["cycle"]


def test_a_circle_of_nodes_within_a_graph() -> None:
    raw = graph({"c": held(graph({"a": "same", "b": "same"}, "a.value -> b.x", "b.value -> a.x"))})

    assert faults(raw) == [("cycle", "c/a", None)]


@pytest.mark.parametrize(("graphs", "code"), [(5, "bad_message"), ({"": {}}, "bad_message"), ({"g": 5}, "bad_message")])
def test_graphs_of_a_wrong_shape(graphs: Any, code: str) -> None:
    assert [found for found, _, _ in faults({**graph({}), "graphs": graphs})] == [code]


def test_named_graphs_stand_in_the_outermost_graph_alone() -> None:
    assert faults(graph({"c": held({**SAME, "graphs": {"g": SAME}})})) == [("bad_message", "c", None)]


def test_nothing_is_compiled_by_loading() -> None:
    loaded = load_graph(with_graphs(graph({"c": held("g")}), g=SAME), CATALOGUE)

    assert [definition.compiled for definition in definitions_of(loaded, CATALOGUE).all] == [None, None]


def test_equal_graphs_stay_equal_whatever_was_found_of_them() -> None:
    raw = with_graphs(graph({"c": held("g")}), g=SAME)
    first, second = load_graph(raw, CATALOGUE), load_graph(raw, CATALOGUE)

    assert first == second
    assert first != load_graph(graph({"c": held(SAME)}), CATALOGUE)


@pytest.mark.parametrize(
    "other",
    [
        inner({"s": "same"}, "in-x.value -> s.x", inputs={"x": {"type": "integer"}}, outputs={"y": "in-x.value"}),
        inner(
            {"s": ("same", {"x": 1})}, "in-x.value -> s.x", inputs={"x": {"type": "integer"}}, outputs={"y": "s.value"}
        ),
        inner({"s": "needy"}, "in-x.value -> s.x", inputs={"x": {"type": "integer"}}, outputs={"y": "s.value"}),
        inner(
            {"s": "same"},
            "in-x.value -> s.x",
            inputs={"x": {"type": "integer", "default": 1}},
            outputs={"y": "s.value"},
        ),
    ],
)
def test_the_digest_of_a_graph_tells_it_from_others(other: dict[str, Any]) -> None:
    loaded = load_graph(graph({"a": held(SAME), "b": held(SAME), "c": held(other)}), CATALOGUE)
    root = definitions_of(loaded, CATALOGUE).root

    assert root.inner["a"].digest == root.inner["b"].digest
    assert root.inner["a"].digest != root.inner["c"].digest
