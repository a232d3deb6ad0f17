"""Drawings: what they look like, and that nothing in a label gets out of it."""

from __future__ import annotations

from typing import Any, Final

import pytest
from tests.support.drawings import read_dot, read_mermaid

from graphport.graph.draw import STATES, Timing, to_dot, to_mermaid
from graphport.graph.model import Edge, Graph, Node

GRAPH: Final = Graph(
    nodes=(Node(id="ask", type="text-input"), Node(id="llm", type="llm"), Node(id="answer", type="text-output")),
    edges=(
        Edge(source="ask", source_handle="text", target="llm", target_handle="prompt"),
        Edge(source="llm", source_handle="text", target="answer", target_handle="text"),
    ),
)
TIMINGS: Final = {
    "ask": Timing("cached"),
    "llm": Timing("completed", 2_345_678),
    "answer": Timing("failed", 45),
    "gone": Timing("completed", 1),
}


def of(*ids: str, node_type: str = "t") -> Graph:
    return Graph(nodes=tuple(Node(id=one, type=node_type) for one in ids))


def test_a_flowchart() -> None:
    assert to_mermaid(GRAPH, TIMINGS) == (
        "flowchart LR\n"
        '    n0["ask<br/>text-input<br/>cached"]\n'
        '    n1["llm<br/>completed, 2.35 s"]\n'
        '    n2["answer<br/>text-output<br/>failed, 45 µs"]\n'
        '    n0 -->|"text → prompt"| n1\n'
        '    n1 -->|"text"| n2\n'
        "    classDef cached fill:#e8f0fe,stroke:#1a73e8\n"
        "    class n0 cached\n"
        "    classDef completed fill:#e6f4ea,stroke:#1e8e3e\n"
        "    class n1 completed\n"
        "    classDef failed fill:#fce8e6,stroke:#d93025\n"
        "    class n2 failed\n"
    )


def test_a_directed_graph() -> None:
    assert to_dot(GRAPH, {"llm": Timing("running", 1_500)}) == (
        "digraph graphport {\n"
        "    rankdir=LR\n"
        '    node [shape=box, style="rounded,filled", fillcolor=white]\n'
        '    n0 [label="ask\\ntext-input"]\n'
        '    n1 [label="llm\\nrunning, 1.5 ms", fillcolor="#fef7e0", color="#f9ab00"]\n'
        '    n2 [label="answer\\ntext-output"]\n'
        '    n0 -> n1 [label="text → prompt"]\n'
        '    n1 -> n2 [label="text"]\n'
        "}\n"
    )


def test_every_state_has_a_colour() -> None:
    for state in STATES:
        assert f"classDef {state} fill:" in to_mermaid(of("a"), {"a": Timing(state)})
    assert "classDef" not in to_mermaid(of("a"), {"a": Timing("planned")})


@pytest.mark.parametrize(
    ("label", "mermaid", "dot"),
    [
        ('say "hi"', "say #34;hi#34;", 'say \\"hi\\"'),
        ("a]b[c}{(", "a#93;b#91;c#125;#123;#40;", "a]b[c}{("),
        ("one\ntwo\r\u2028\x85", "one#8629;two#8629;#8629;#8629;", "one↵two↵↵↵"),
        ("back\\slash\\N", "back#92;slash#92;N", "back\\\\slash\\\\N"),
        ("größe 日本 🙂", "größe 日本 #128578;", "größe 日本 🙂"),
        ("<b>&amp;#quot;", "#60;b#62;#38;amp#59;#35;quot#59;", "<b>&amp;amp;#quot;"),
        ("%%{init: {}}%%", "#37;#37;#123;init#58; #123;#125;#125;#37;#37;", "%%{init: {}}%%"),
        ("`**x**`", "#96;#42;#42;x#42;#42;#96;", "`**x**`"),
        ("end", "end", "end"),
        ("\x00\x1b\u202e\ufeff", "#65533;#65533;#65533;#65533;", "����"),
        ("a\u00a0b\u3000c", "a b c", "a b c"),
        ("x" * 500, "x" * 119 + "#8230;", "x" * 119 + "…"),
    ],
)
def test_labels_are_escaped(label: str, mermaid: str, dot: str) -> None:
    assert f'["{mermaid}<br/>t"]' in to_mermaid(of(label))
    assert f'[label="{dot}\\nt"]' in to_dot(of(label))


def test_a_lone_surrogate_makes_no_text_that_cannot_be_written() -> None:
    graph = Graph.model_construct(nodes=(Node.model_construct(id="\ud800", type="t", data={}),), edges=())

    for text in (to_mermaid(graph), to_dot(graph)):
        text.encode()


def test_edges_that_lead_nowhere_are_left_out() -> None:
    edge = Edge(source="ask", source_handle="text", target="gone", target_handle="x")
    graph = GRAPH.model_copy(update={"edges": (*GRAPH.edges, edge)})

    assert read_mermaid(to_mermaid(graph)).edges == read_dot(to_dot(graph)).edges == [(0, 1), (1, 2)]


@pytest.mark.parametrize(
    "line",
    ['    n0["a"b"]', '    n0["a]"] --> n1', "    click n0 call()", '    n0["%%{init}%%"]', '    n0["a\\"]'],
)
def test_the_reader_of_these_tests_refuses_what_got_out(line: str) -> None:
    with pytest.raises(AssertionError):
        read_mermaid(f"flowchart LR\n{line}\n")
    with pytest.raises(AssertionError):
        read_dot(f"digraph graphport {{\n{line}\n}}\n")


def test_the_empty_graph_is_drawn() -> None:
    empty: Any = Graph()

    assert read_mermaid(to_mermaid(empty)).nodes == read_dot(to_dot(empty)).nodes == []
