"""Programs of graphs: how they look, and what cannot be written. That they give the same graph is a property test."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import pytest

from graphport import GraphBuilder
from graphport.core.errors import GraphInvalid, GraphportError
from graphport.graph.catalogue import Catalogue
from graphport.graph.method_names import is_name, method_names
from graphport.graph.model import Edge, Graph, Node
from graphport.graph.python_code import to_python
from graphport.nodes import CORE_NODES

CORE: Final = Catalogue(CORE_NODES)
METHODS: Final = method_names(CORE.names(), ())

PROGRAM = """\
from graphport import GraphBuilder

builder = GraphBuilder(nodes=["my_nodes"], auto_connect=False)

builder.text_input("ask", {"label": "Question"}, {"position": {"x": 1, "y": 2}}, text="Why is the sky blue?")
builder.llamacpp_inference(
    "llm",
    model_path="smollm2",
    system_prompt=(
        "You explain the world to those who ask.\\n"
        'Be short, and "clear".'
    ),
    stop=["\\n\\n", "User:"],
)
builder.add("my-type", 'odd "id"\\n')

builder.connect("ask", "text", "llm", "prompt", {"id": "e1"})

builder.settings(**{"temperature": 0.5, "two words": None})

builder.about({"viewport": {"zoom": 1}})

graph = builder.graph()
"""


def nested(levels: int) -> list[Any]:
    return [nested(levels - 1)] if levels else []


def program(value: Any) -> str:
    return to_python(Graph(settings={"value": value}), CORE, METHODS)


def test_a_program_reads_like_one_that_a_person_wrote() -> None:
    prompt = 'You explain the world to those who ask.\nBe short, and "clear".'
    data = {"model_path": "smollm2", "system_prompt": prompt, "stop": ["\n\n", "User:"]}
    graph = Graph(
        nodes=(
            Node(
                id="ask",
                type="text-input",
                data={"label": "Question", "text": "Why is the sky blue?"},
                position={"x": 1, "y": 2},
            ),
            Node(id="llm", type="llamacpp-inference", data=data),
            Node(id='odd "id"\n', type="my-type"),
        ),
        edges=(Edge(source="ask", source_handle="text", target="llm", target_handle="prompt", id="e1"),),
        settings={"temperature": 0.5, "two words": None},
        viewport={"zoom": 1},
    )

    assert to_python(graph, CORE, METHODS, ["my_nodes"]) == PROGRAM


@pytest.mark.parametrize(
    "value",
    [
        dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 2),
        dt.date(2026, 1, 2),
        dt.time(1, 2),
        b"\x00\"'",
        (1,),
        (),
        {},
        set(),
        frozenset({1}),
        {1: (2, [3.5, -0.0])},
        float("inf"),
        10**5_000,
        -(2**9_000),
        'it\'s "both"',
        "\ud800",
        "x" * 300,
        list(range(100)),
        {"a" * 50: ["b" * 80, {"c": "d\ne" * 30}]},
        nested(50),
    ],
    ids=lambda value: type(value).__name__,
)
def test_plain_values_come_back(value: Any) -> None:
    names: dict[str, Any] = {}
    exec(compile(program(value), "<graph>", "exec"), names)

    assert names["graph"].settings["value"] == value
    assert type(names["graph"].settings["value"]) is type(value)


@pytest.mark.parametrize(
    ("value", "word"),
    [(object(), "no plain data"), (nested(70), "too deeply"), ({"a": [print]}, "no plain data")],
)
def test_what_is_no_plain_data_is_refused(value: Any, word: str) -> None:
    with pytest.raises(GraphportError, match=word) as caught:
        program(value)

    assert caught.value.code == "unencodable_value"


def test_edges_that_lead_nowhere_and_ids_used_twice_are_refused() -> None:
    edge = Edge(source="a", source_handle="x", target="b", target_handle="y")
    node = Node(id="a", type="t")

    with pytest.raises(GraphInvalid) as caught:
        to_python(Graph(nodes=(node, node), edges=(edge,)), CORE, METHODS)

    assert [one["code"] for one in (caught.value.details or {})["faults"]] == ["duplicate_id", "dangling_edge"]


def test_code_in_ids_and_values_stays_text() -> None:
    evil = '"); raise SystemExit("'
    builder = GraphBuilder(auto_connect=False).text_input(evil, {evil: evil}, text=evil).settings(**{evil: evil})
    names: dict[str, Any] = {}

    exec(compile(builder.to_python(), "<graph>", "exec"), names)

    assert names["graph"] == builder.graph()


@pytest.mark.parametrize("name", ["class", "a b", "größe", "", "1a", "ﬁ", "None", "a-b"])
def test_what_python_cannot_write_is_no_name(name: str) -> None:
    assert not is_name(name)


def test_of_two_types_with_one_name_the_one_that_is_spelt_so_has_the_method() -> None:
    assert method_names(["a_b", "a-b", "c-d", "c_-d", "_x", "add", "class"], ["add"]) == {
        "a_b": "a_b",
        "c_d": "c-d",
        "c__d": "c_-d",
    }
    assert method_names(["x-y_z", "x_y-z"], ()) == {"x_y_z": "x-y_z"}
