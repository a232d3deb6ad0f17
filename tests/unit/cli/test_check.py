from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Call = Callable[..., Result]
    Write = Callable[..., str]

FIVE = """{
  "nodes": [
    {"id": "prompt", "type": "text-inptu", "data": {"text": "Hi"}},
    {"id": "llm", "type": "llamacpp-inference",
     "data": {"temperature": "hot"}},
    {"id": "answer", "type": "text-output"},
    {"id": "answer", "type": "text-output"}
  ],
  "edges": [
    {"source": "prompt", "source_handle": "text", "target": "llm", "target_handle": "prompt"},
    {"source": "llm", "source_handle": "respnse", "target": "answer", "target_handle": "text"}
  ]
}
"""

REACT_FLOW = """{
  "nodes": [
    {"id": "a", "type": "customNode",
     "data": {"node_type": "text-inputt"}},
    {"id": "o", "type": "customNode", "data": {"nodeType": "text-output"}}
  ],
  "edges": [
    {"id": "e", "source": "a", "sourceHandle": "text", "target": "o", "targetHandle": "txt"}
  ]
}
"""

PANTOGRAPH = """{"name": "saved", "graph": {
  "edges": [],
  "nodes": [
    {"id": "text-input-1", "data": {}},
    {"id": "text-outputt-2", "data": {}}]}}
"""


def places(result: Result) -> list[tuple[Any, ...]]:
    found = json.loads(result.stdout)["faults"]
    return [(fault["code"], fault["node"], fault["port"], fault["lines"]) for fault in found]


def test_a_graph_without_faults(call: Call, write: Write) -> None:
    result = call("check", write({"a": ("text-input", {}), "o": ("text-output", {})}, ("a.text", "o.text")))

    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "graph.json: no faults (2 nodes; ends in: o)\n",
        "",
    )


def test_a_graph_without_faults_in_json(call: Call, write: Write) -> None:
    result = call("check", write({"a": ("text-input", {})}), "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"file": "graph.json", "ok": True, "faults": [], "nodes": 1, "sinks": ["a"]}


def test_every_fault_is_told_with_its_place(call: Call, folder: Path) -> None:
    (folder / "five.json").write_text(FIVE)

    result = call("check", "five.json")

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "five.json:3: Node 'prompt': there is no node type 'text-inptu'. Did you mean 'text-input'? "
        "[unknown_type, node prompt]",
        "five.json:6: 2 nodes have the id 'answer'; ids must differ. (also line 7) [duplicate_id, node answer]",
        "five.json:11: Edge llm.respnse → answer.text: llamacpp-inference has no output port 'respnse'. "
        "It has response, model_path, model_ref. Did you mean 'response'? [dangling_edge, node llm, port respnse]",
        "five.json:4: Node 'llm' (llamacpp-inference) needs the input 'model_path': connect it, or give it a value in "
        "`data`. [missing_input, node llm, port model_path]",
        "five.json:4: Node 'llm', data 'temperature': expected a number, got 'hot'. "
        "[invalid_input, node llm, port temperature]",
        "five.json: 5 faults",
    ]


def test_every_fault_is_told_in_json(call: Call, folder: Path) -> None:
    (folder / "five.json").write_text(FIVE)

    result = call("check", "five.json", "--json")

    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["file"], answer["ok"]) == (1, "five.json", False)
    assert places(result) == [
        ("unknown_type", "prompt", None, [3]),
        ("duplicate_id", "answer", None, [6, 7]),
        ("dangling_edge", "llm", "respnse", [11]),
        ("missing_input", "llm", "model_path", [4]),
        ("invalid_input", "llm", "temperature", [4]),
    ]
    assert [fault["line"] for fault in answer["faults"]] == [3, 6, 11, 4, 4]


def test_react_flow_s_shape(call: Call, folder: Path) -> None:
    (folder / "flow.json").write_text(REACT_FLOW)

    result = call("check", "flow.json", "--json")

    assert result.exit_code == 1
    assert places(result) == [("unknown_type", "a", None, [3]), ("dangling_edge", "o", "txt", [8])]


def test_pantograph_s_shape(call: Call, folder: Path) -> None:
    (folder / "saved.json").write_text(PANTOGRAPH)

    result = call("check", "saved.json", "--json")

    assert result.exit_code == 1
    assert places(result) == [("unknown_type", "text-outputt-2", None, [5])]


def test_an_edge_to_nowhere_is_found_by_its_line(call: Call, folder: Path) -> None:
    (folder / "g.json").write_text(
        '{"nodes": [{"id": "a", "type": "text-input"}],\n "edges": [\n'
        '{"source": "a", "source_handle": "text", "target": "b", "target_handle": "text"}]}'
    )

    assert places(call("check", "g.json", "--json")) == [("dangling_edge", "b", None, [3])]


def test_a_fault_of_shape_has_no_line_where_nothing_is_named(call: Call, folder: Path) -> None:
    (folder / "g.json").write_text('{"nodes": {}}')

    result = call("check", "g.json")

    assert result.exit_code == 1
    assert result.stdout.startswith("g.json: The graph's `nodes` should be a list, got {}. [bad_message]\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"nodes": [\n1,}', "g.json:2: The file is no JSON: Expecting value, line 2, column 3. [bad_message]"),
        (b"", "g.json:1: The file is no JSON: Expecting value, line 1, column 1. [bad_message]"),
        (b'{\n"a": "\xff"}', "g.json:2: The file is no UTF-8 text: line 2 has the byte 0xff. [bad_message]"),
        (b"[" * 100_000, "g.json: The file's JSON cannot be read: "),
        (b"[" + b"1" * 5_000 + b"]", "g.json: The file's JSON cannot be read: "),
        (b"7", "g.json: A graph is a map with `nodes` and `edges`, got 7. [bad_message]"),
    ],
)
def test_what_is_no_graph_at_all_is_one_fault(call: Call, folder: Path, content: bytes, said: str) -> None:
    (folder / "g.json").write_bytes(content)

    result = call("check", "g.json")

    assert result.exit_code == 1
    assert result.stdout.startswith(said)
    assert result.stdout.endswith("g.json: 1 fault\n")


def test_a_byte_order_mark_does_not_matter(call: Call, folder: Path) -> None:
    (folder / "g.json").write_bytes(b'\xef\xbb\xbf{"nodes": []}')

    assert call("check", "g.json").exit_code == 0


def test_own_node_types_count(call: Call, write: Write) -> None:
    graph = write({"s": ("shout", {"text": "x"})})

    assert call("check", graph).exit_code == 1
    known = call("check", graph, "--nodes", "cli_nodes")
    assert (known.exit_code, known.stdout) == (0, "graph.json: no faults (1 node; ends in: s)\n")


def test_a_file_that_is_not_there_is_wrong_usage(call: Call) -> None:
    result = call("check", "none.json")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "graphport: none.json cannot be read: No such file or directory.\n"


def test_control_characters_do_not_reach_the_terminal(call: Call, write: Write) -> None:
    result = call("check", write({"a\x1b[2J": ("b", {})}))

    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
