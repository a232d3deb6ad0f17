"""Validation: one test per kind of fault, and that all kinds come together."""

from __future__ import annotations

import time
from typing import Any

import pytest

from graphport.contracts.node import NodeSpec, NodeType, PortSpec
from graphport.core.errors import CODES, GraphInvalid
from graphport.graph.catalogue import Catalogue
from graphport.graph.model import Graph
from graphport.graph.validate import find_faults, load_graph, validate


def _type(name: str, inputs: list[PortSpec], outputs: list[PortSpec]) -> NodeType:
    spec = NodeSpec(type=name, inputs=tuple(inputs), outputs=tuple(outputs))
    return NodeType(spec=spec, handler=lambda inputs, context: {}, code_digest=b"")


TEXT = PortSpec(name="text", type="string")
CATALOGUE = Catalogue()
for one in (
    _type("source", [], [TEXT, PortSpec(name="number", type="number"), PortSpec(name="any")]),
    _type("copy", [TEXT.model_copy(update={"required": True})], [TEXT]),
    _type("open", [TEXT.model_copy(update={"required": True, "external": True})], [TEXT]),
    _type("join", [PortSpec(name="texts", type="string", multiple=True, required=True)], [TEXT]),
    _type(
        "model",
        [
            PortSpec(name="temperature", type="number", required=True, min=0, max=2, setting="temp"),
            PortSpec(name="mode", type="string", choices=("fast", "good"), default="fast"),
        ],
        [TEXT],
    ),
):
    CATALOGUE.register(one)


def graph(nodes: dict[str, Any], *edges: str, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """A graph of `{"id": "type"}` or `{"id": ("type", data)}` and edges written `a.text b.text`."""
    listed = []
    for node_id, given in nodes.items():
        kind, data = given if isinstance(given, tuple) else (given, {})
        listed.append({"id": node_id, "type": kind, "data": data})
    return {"nodes": listed, "edges": [edge(text) for text in edges], "settings": settings}


def edge(text: str) -> dict[str, str]:
    (source, source_handle), (target, target_handle) = (end.split(".") for end in text.split())
    return {
        "source": source,
        "source_handle": source_handle,
        "target": target,
        "target_handle": target_handle,
    }


def faults(raw: Any) -> list[dict[str, str]]:
    with pytest.raises(GraphInvalid) as caught:
        load_graph(raw, CATALOGUE)
    found: list[dict[str, str]] = (caught.value.details or {})["faults"]
    assert {fault["code"] for fault in found} <= CODES.keys()
    return found


def test_a_sound_graph_is_returned() -> None:
    loaded = load_graph(graph({"a": "source", "b": "copy"}, "a.text b.text"), CATALOGUE)

    assert [one.id for one in loaded.nodes] == ["a", "b"]
    validate(loaded, CATALOGUE)


def test_an_unknown_type_names_the_nearest_known_one() -> None:
    assert faults(graph({"a": "sorce"})) == [
        {
            "code": "unknown_type",
            "message": "Node 'a': there is no node type 'sorce'. Did you mean 'source'?",
            "node": "a",
        }
    ]


def test_an_unknown_type_like_no_other_says_what_to_check() -> None:
    (fault,) = faults(graph({"a": "xyzzy"}))

    assert fault["message"].endswith("Is the module that declares it loaded?")


def test_edges_of_unknown_types_are_not_reported_again() -> None:
    found = faults(graph({"a": "sorce", "b": "copy"}, "a.text b.text"))

    assert [fault["code"] for fault in found] == ["unknown_type"]


def test_a_required_input_without_anything_is_missing() -> None:
    assert faults(graph({"b": "copy"})) == [
        {
            "code": "missing_input",
            "message": "Node 'b' (copy) needs the input 'text': connect it, or give it a value in `data`.",
            "node": "b",
            "port": "text",
        }
    ]


@pytest.mark.parametrize(
    "raw",
    [
        graph({"b": ("copy", {"text": "x"})}),
        graph({"b": ("copy", {"text": ""})}),
        graph({"b": "open"}),
        graph({"m": ("model", {"temperature": 0})}),
        graph({"m": "model"}, settings={"temp": 1.5}),
    ],
    ids=["data", "empty data", "external", "zero", "setting"],
)
def test_a_required_input_is_satisfied_by(raw: Any) -> None:
    load_graph(raw, CATALOGUE)


def test_null_in_data_is_no_value() -> None:
    (fault,) = faults(graph({"b": ("copy", {"text": None})}))

    assert fault["code"] == "missing_input"


def test_a_missing_input_names_the_setting_that_would_do() -> None:
    (fault,) = faults(graph({"m": "model"}))

    assert fault["message"].endswith("or give it a value in `data`, or the setting 'temp'.")


def test_incompatible_ports_name_both_types() -> None:
    (fault,) = faults(graph({"m": "model", "a": "source"}, "a.text m.temperature"))

    assert fault == {
        "code": "incompatible_ports",
        "message": "Edge a.text → m.temperature: the output is of type string, the input takes number.",
        "node": "m",
        "port": "temperature",
    }


def test_fitting_ports_are_not_reported() -> None:
    load_graph(graph({"m": "model", "a": "source", "b": "copy"}, "a.number b.text", "a.any m.temperature"), CATALOGUE)


@pytest.mark.parametrize(
    ("broken", "message", "node", "port"),
    [
        ("aa.text b.text", "there is no node 'aa'.", "aa", None),
        (
            "a.txt b.text",
            "source has no output port 'txt'. It has text, number, any. Did you mean 'text'?",
            "a",
            "txt",
        ),
        ("a.text b.q", "copy has no input port 'q'. It has text.", "b", "q"),
        ("b.text a.text", "source has no input port 'text'. It has none.", "a", "text"),
    ],
)
def test_a_dangling_edge_says_what_is_missing(broken: str, message: str, node: str, port: str | None) -> None:
    found = faults(graph({"a": "source", "b": ("copy", {"text": "x"})}, broken))

    assert [(fault["code"], fault["node"], fault.get("port")) for fault in found] == [("dangling_edge", node, port)]
    assert found[0]["message"].startswith(f"Edge {broken.replace(' ', ' → ')}: {message}")


def test_a_dangling_edge_names_the_nearest_node() -> None:
    (fault,) = faults(graph({"question": "source", "b": "copy"}, "queston.text b.text"))

    assert fault["message"].endswith("there is no node 'queston'. Did you mean 'question'?")


def test_a_port_with_a_dangling_edge_is_not_also_missing() -> None:
    assert [fault["code"] for fault in faults(graph({"b": "copy"}, "x.text b.text"))] == ["dangling_edge"]


def test_an_edge_without_both_ends_gives_two_faults() -> None:
    found = faults({"nodes": [], "edges": [edge("x.text y.text")]})

    assert [(fault["code"], fault["node"]) for fault in found] == [
        ("dangling_edge", "x"),
        ("dangling_edge", "y"),
    ]


def test_an_id_used_twice_is_reported_once() -> None:
    raw = {"nodes": [{"id": "a", "type": "source"}] * 3}

    assert faults(raw) == [
        {"code": "duplicate_id", "message": "3 nodes have the id 'a'; ids must differ.", "node": "a"}
    ]


def test_two_edges_on_a_single_port_name_both_sources() -> None:
    raw = graph({"a": "source", "c": "source", "b": "copy"}, "a.text b.text", "c.number b.text")

    assert faults(raw) == [
        {
            "code": "duplicate_edge",
            "message": "The input 'text' of 'b' takes one edge, but 2 lead to it: from a.text and c.number.",
            "node": "b",
            "port": "text",
        }
    ]


def test_a_port_of_many_takes_many_edges() -> None:
    load_graph(graph({"a": "source", "c": "source", "j": "join"}, "a.text j.texts", "c.text j.texts"), CATALOGUE)


@pytest.mark.parametrize(
    ("kind", "data", "settings", "port", "problem"),
    [
        ("copy", {"text": 5}, {}, "text", "expected a string, got 5"),
        ("model", {"temperature": 3}, {}, "temperature", "expected at most 2, got 3"),
        ("model", {"temperature": -1}, {}, "temperature", "expected at least 0, got -1"),
        ("model", {"temperature": True}, {}, "temperature", "expected a number, got true"),
        ("model", {"temperature": 1, "mode": "odd"}, {}, "mode", "expected one of 'fast', 'good', got 'odd'"),
        ("join", {"texts": ["a", 1]}, {}, "texts", "item 1: expected a string, got 1"),
        ("model", {}, {"temp": "hot"}, "temperature", "expected a number, got 'hot'"),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    kind: str, data: dict[str, Any], settings: dict[str, Any], port: str, problem: str
) -> None:
    (fault,) = faults(graph({"n": (kind, data)}, settings=settings))

    assert (fault["code"], fault["node"], fault["port"]) == ("invalid_input", "n", port)
    assert fault["message"].endswith(f": {problem}.")


def test_data_that_is_no_port_is_the_editors_business() -> None:
    load_graph(graph({"a": ("source", {"label": 5, "width": None})}), CATALOGUE)


def test_data_behind_an_edge_and_settings_behind_data_are_not_looked_at() -> None:
    raw = graph(
        {"a": "source", "b": ("copy", {"text": 5}), "m": ("model", {"temperature": 1})},
        "a.text b.text",
        settings={"temp": "hot"},
    )

    load_graph(raw, CATALOGUE)


def test_a_cycle_names_its_nodes_in_order() -> None:
    raw = graph(
        {"a": "source", "x": "copy", "y": "copy", "z": "join"},
        "z.text x.text",
        "x.text y.text",
        "y.text z.texts",
        "a.text z.texts",
    )

    assert faults(raw) == [
        {"code": "cycle", "message": "Nodes wait for each other in a circle: x → y → z → x.", "node": "x"}
    ]


def test_each_circle_is_one_fault_and_a_loop_is_a_circle() -> None:
    raw = graph({"a": "copy", "b": "copy", "c": "copy"}, "a.text a.text", "b.text c.text", "c.text b.text")

    assert [fault["message"].rpartition(": ")[2] for fault in faults(raw)] == ["a → a.", "b → c → b."]


def test_what_hangs_between_two_circles_is_on_none() -> None:
    raw = graph(
        {"a": "join", "b": "join", "c": "join"},
        "a.text a.texts",
        "a.text b.texts",
        "b.text c.texts",
        "c.text c.texts",
    )

    assert [fault["node"] for fault in faults(raw)] == ["a", "c"]


def test_five_kinds_of_fault_come_in_one_answer() -> None:
    raw = graph(
        {"a": "sorce", "b": "copy", "c": "copy", "d": ("copy", {"text": 1}), "e": "copy"},
        "b.text b.text",
        "q.text c.text",
    )

    assert sorted(fault["code"] for fault in faults(raw)) == [
        "cycle",
        "dangling_edge",
        "invalid_input",
        "missing_input",
        "unknown_type",
    ]


def test_faults_of_shape_and_of_meaning_come_together() -> None:
    raw = graph({"a": "sorce"})
    raw["nodes"].append(5)

    assert [fault["code"] for fault in faults(raw)] == ["bad_message", "unknown_type"]


def test_edges_of_a_broken_node_are_not_reported_again() -> None:
    raw = graph({"b": "copy"}, "a.text b.text")
    raw["nodes"].append({"id": "a", "type": 5})

    assert [fault["code"] for fault in faults(raw)] == ["bad_message"]


def test_a_broken_edge_makes_no_input_missing() -> None:
    raw = graph({"b": "copy"})
    raw["edges"] = [{"source": "a"}]

    assert {fault["code"] for fault in faults(raw)} == {"bad_message"}


def test_the_message_of_the_error_counts_the_faults() -> None:
    with pytest.raises(GraphInvalid, match=r"^The graph has 2 faults\. The first: Node 'a'"):
        load_graph(graph({"a": "x1", "b": "x2"}), CATALOGUE)
    with pytest.raises(GraphInvalid, match=r"^Node 'a'"):
        load_graph(graph({"a": "x1"}), CATALOGUE)


def test_an_empty_graph_is_sound() -> None:
    assert find_faults(Graph(), CATALOGUE) == []


@pytest.mark.parametrize("closed", [False, True], ids=["chain", "circle"])
def test_a_hundred_thousand_nodes_are_no_problem(closed: bool) -> None:
    count = 100_000
    nodes = [{"id": f"n{place}", "type": "open", "data": {}} for place in range(count)]
    edges = [edge(f"n{place}.text n{place + 1}.text") for place in range(count - 1)]
    if closed:
        edges.append(edge(f"n{count - 1}.text n0.text"))
    started = time.monotonic()

    if closed:
        (fault,) = faults({"nodes": nodes, "edges": edges})
        assert fault["code"] == "cycle"
        assert "… 99900 more …" in fault["message"]
    else:
        load_graph({"nodes": nodes, "edges": edges}, CATALOGUE)

    assert time.monotonic() - started < 30  # far above the 1 to 3 s it takes, far below what quadratic time takes


def test_many_faults_take_linear_time() -> None:
    nodes = [{"id": f"n{place}", "type": f"odd{place % 7}"} for place in range(20_000)]
    edges = [edge(f"m{place}.text n{place}.text") for place in range(20_000)]
    started = time.monotonic()

    with pytest.raises(GraphInvalid, match="40000 faults") as caught:
        load_graph({"nodes": nodes, "edges": edges}, CATALOGUE)
    assert len(caught.value.details["faults"]) == 10_000  # type: ignore[index]

    assert time.monotonic() - started < 30


def test_a_word_in_data_that_is_nearly_an_input_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    data = {"temperature": 1, "mood": "calm", "mod": "fast", "label": "Mine", "temperatur": 2}
    load_graph(graph({"a": ("model", data), "b": ("model", data)}), CATALOGUE)

    assert [record.getMessage() for record in caplog.records] == [
        "node 'a', data 'mod': model has no input of that name, so it has no effect; did you mean 'mode'?"
    ]
    assert caplog.records[0].levelname == "WARNING"
