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

TASKS = [
    {"id": "a", "type": "text-input", "defaults": {"text": "hi"}},
    {"id": "o", "type": "text-output", "defaults": {}, "dependencies": {"text": {"id": "a", "output": "text"}}},
]


@pytest.fixture
def graph(write: Write) -> str:
    return write({"a": ("text-input", {"text": "hi"}), "o": ("text-output", {})}, ("a.text", "o.text"))


def test_data_is_written_so_that_it_is_read_as_the_same_graph(call: Call, graph: str, folder: Path) -> None:
    own = json.loads((folder / graph).read_text())

    for form in ("json", "workglow-json", "dependency-json"):
        written = call("convert", graph, "--to", form)
        assert (written.exit_code, written.stderr) == (0, "")
        back = call("convert", "-", "--to", "json", stdin=written.stdout)
        assert json.loads(back.stdout) == own
    assert json.loads(call("convert", graph, "--to", "dependency-json").stdout) == TASKS


def test_a_program_gives_the_graph_again(call: Call, graph: str, folder: Path) -> None:
    result = call("convert", graph, "--to", "python", "--nodes", "cli_nodes")
    names: dict[str, Any] = {}

    exec(compile(result.stdout, "<graph>", "exec"), names)

    assert result.exit_code == 0
    assert 'GraphBuilder(nodes=["cli_nodes"]' in result.stdout
    assert names["builder"].to_json() == json.loads((folder / graph).read_text())


def test_types_of_ones_own_are_methods_when_their_module_is_named(call: Call, write: Write) -> None:
    graph = write({"a": ("shout", {"text": "x"})})

    assert 'builder.shout("a", text="x")' in call("convert", graph, "--to", "python", "--nodes", "cli_nodes").stdout
    assert 'builder.add("shout", "a", {"text": "x"})' in call("convert", graph, "--to", "python").stdout


@pytest.mark.parametrize(("form", "first"), [("mermaid", "flowchart LR"), ("dot", "digraph graphport {")])
def test_drawings(call: Call, graph: str, form: str, first: str) -> None:
    result = call("convert", graph, "--to", form)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == first


def test_what_nodes_mean_is_not_judged(call: Call, write: Write) -> None:
    graph = write({"a": ("no-such-type", {}), "b": ("merge", {})}, ("b.nothing", "a.x"))

    for form in ("json", "dependency-json", "python", "mermaid"):
        assert call("convert", graph, "--to", form).exit_code == 0


@pytest.mark.parametrize(("form", "key"), [("json", "graph"), ("dependency-json", "graph"), ("dot", "text")])
def test_an_object_for_programs(call: Call, graph: str, form: str, key: str) -> None:
    answer = json.loads(call("convert", graph, "--to", form, "--json").stdout)

    assert {**answer, key: None} == {"file": graph, "ok": True, "to": form, key: None}
    assert answer[key]


def test_faults_of_shape_are_told_and_leave_standard_output_alone(call: Call, folder: Path) -> None:
    (folder / "bad.json").write_text('{"nodes": [\n{"id": "a"},\n{"id": "b", "type": "merge"}]}')

    result = call("convert", "bad.json", "--to", "json")
    answer = json.loads(call("convert", "bad.json", "--to", "json", "--json").stdout)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "bad.json:2: Node 'a' has no `type`. [bad_message, node a]" in result.stderr
    assert [(fault["code"], fault["line"]) for fault in answer["faults"]] == [("bad_message", 2)]


def test_faults_in_workglows_shapes_have_their_place_too(call: Call, folder: Path) -> None:
    (folder / "list.json").write_text('[\n{"id": "a", "type": "merge"},\n{"id": "a", "type": "merge"}]')
    ends = ('"sourceTaskId": "a", "sourceTaskPortId": "x"', '"targetTaskId": "b", "targetTaskPortId": "y"')
    flows = '"dataflows": [\n{' + ",\n".join(ends) + "}]"
    (folder / "tasks.json").write_text('{"tasks": [{"id": "a", "type": "merge"}],\n' + flows + "}")

    assert "list.json:2: " in call("convert", "list.json", "--to", "json").stderr
    assert "tasks.json:3: " in call("convert", "tasks.json", "--to", "json").stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("graph.json", "--to", "mermiad"), "Did you mean 'mermaid'?"),
        (("missing.json", "--to", "json"), "missing.json cannot be read"),
        (("graph.json", "--to", "json", "--nodes", "no_such_module"), "no_such_module"),
        (("graph.json",), "--to"),
    ],
)
def test_wrong_use_is_a_sentence(call: Call, graph: str, arguments: tuple[str, ...], word: str) -> None:
    result = call("convert", *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert word in result.stderr


def test_what_python_cannot_hold_is_a_sentence(call: Call, folder: Path) -> None:
    deep = "[" * 100 + "]" * 100
    (folder / "deep.json").write_text('{"nodes": [], "settings": {"x": ' + deep + "}}")

    result = call("convert", "deep.json", "--to", "python")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "nested too deeply" in result.stderr


@pytest.mark.parametrize(("name", "first"), [("run.mmd", "flowchart LR"), ("run.dot", "digraph graphport {")])
def test_a_run_is_drawn(call: Call, graph: str, folder: Path, name: str, first: str) -> None:
    result = call("run", graph, "--draw", name)

    text = (folder / name).read_text()
    assert (result.exit_code, result.stdout) == (0, "hi\n")
    assert text.splitlines()[0] == first
    assert text.count("completed, ") == 2


def test_a_run_that_fails_is_drawn_too(call: Call, write: Write, folder: Path) -> None:
    graph = write({"a": ("fail", {"text": "x"}), "o": ("text-output", {})}, ("a.value", "o.text"))

    assert call("run", graph, "--nodes", "cli_nodes", "--draw", "run.mmd").exit_code == 1
    assert '["a<br/>fail<br/>failed"]' in (folder / "run.mmd").read_text()


@pytest.mark.parametrize(("name", "word"), [("run.png", ".mmd"), ("no/such/folder.dot", "cannot be written")])
def test_a_drawing_that_cannot_be_written_is_a_sentence(call: Call, graph: str, name: str, word: str) -> None:
    result = call("run", graph, "--draw", name)

    assert result.exit_code == 2
    assert word in result.stderr
