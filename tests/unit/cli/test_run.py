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

TEXT = {"a": ("text-input", {"text": "hi"}), "o": ("text-output", {})}
ECHO = (TEXT, ("a.text", "o.text"))


def through(kind: str, **data: Any) -> tuple[Any, ...]:
    """`a` → `n` → `o`, where `n` gives `text`."""
    nodes = TEXT | {"n": (kind, data)}
    return nodes, ("a.text", "n.text"), ("n.text", "o.text")


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_only_end_is_demanded(call: Call, write: Write) -> None:
    result = call("run", write(*ECHO))

    assert (result.exit_code, result.stdout, result.stderr) == (0, "hi\n", "")


def test_a_named_node_is_demanded(call: Call, write: Write) -> None:
    result = call("run", write(*ECHO), "--demand", "a")

    assert (result.exit_code, result.stdout) == (0, "hi\n")


def test_a_graph_comes_from_standard_input(call: Call, write: Write, folder: Path) -> None:
    result = call("run", "-", stdin=(folder / write(*ECHO)).read_text())

    assert (result.exit_code, result.stdout) == (0, "hi\n")


def test_inputs_replace_what_the_graph_says(call: Call, write: Write) -> None:
    result = call("run", write(*ECHO), "--input", "a.text=1 = 1")

    assert (result.exit_code, result.stdout) == (0, "1 = 1\n")


def test_several_outputs_are_shown_with_their_names(call: Call, write: Write) -> None:
    graph = write({"m": ("measure", {"text": "abc"})})

    result = call("run", graph, "--nodes", "cli_nodes")

    assert (result.exit_code, result.stdout) == (0, "text: abc\nlength: 3\n")


def test_what_nodes_print_is_kept_out_of_the_answer(call: Call, write: Write) -> None:
    graph = write({"s": ("shout", {"text": "abc"})})

    result = call("run", graph, "--nodes", "cli_nodes")

    assert (result.exit_code, result.stdout) == (0, "ABC\n")
    assert "said while imported\n" in result.stderr
    assert "said while run\n" in result.stderr


def test_a_node_that_takes_its_time_is_named(call: Call, write: Write) -> None:
    graph = write({"a": ("text-input", {"text": "x"}), "s": ("shout", {"seconds": 0.3})}, ("a.text", "s.text"))

    result = call("run", graph, "--nodes", "cli_nodes")

    assert (result.exit_code, result.stdout) == (0, "X\n")
    assert result.stderr.count(" s …\n") == 1


@pytest.mark.parametrize("options", [[], ["--no-stream"]])
def test_streamed_text_is_not_shown_twice(call: Call, write: Write, options: list[str]) -> None:
    result = call("run", write(*through("spell")), "--nodes", "cli_nodes", *options)

    assert (result.exit_code, result.stdout) == (0, "hi\n")


def test_an_answer_that_differs_follows_the_streamed_text(call: Call, write: Write) -> None:
    result = call("run", write(*through("spell", ending="!")), "--nodes", "cli_nodes")

    assert (result.exit_code, result.stdout) == (0, "hi\nhi!\n")


def test_only_the_first_of_two_voices_is_streamed(call: Call, write: Write) -> None:
    nodes = {
        "a": ("text-input", {"text": "xy"}),
        "one": ("spell", {}),
        "two": ("spell", {}),
        "m": ("merge", {}),
    }
    edges = [("a.text", "one.text"), ("one.text", "two.text"), ("one.text", "m.inputs"), ("two.text", "m.inputs")]

    result = call("run", write(nodes, *edges), "--nodes", "cli_nodes", "--demand", "m")

    assert (result.exit_code, result.stdout) == (0, "xy\nmerged: xy\nxy\ncount: 2\n")


def test_a_voice_behind_another_is_not_heard(call: Call, write: Write) -> None:
    nodes = {"a": ("text-input", {"text": "x"}), "one": ("spell", {"ending": "y"}), "two": ("spell", {"ending": "z"})}
    graph = write(nodes, ("a.text", "one.text"), ("one.text", "two.text"))

    result = call("run", graph, "--nodes", "cli_nodes", "--demand", "two")

    assert (result.exit_code, result.stdout) == (0, "xy\nxyz\n")


def test_json_has_a_line_per_chunk_and_the_answer_last(call: Call, write: Write) -> None:
    result = call("run", write(*through("spell")), "--nodes", "cli_nodes", "--json")

    *chunks, last = lines(result)
    assert result.exit_code == 0
    assert {chunk["event"] for chunk in chunks} == {"node_stream"}
    assert {(chunk["node"], chunk["port"]) for chunk in chunks} == {("n", "text")}
    assert "".join(chunk["chunk"] for chunk in chunks) == "hi"
    assert (last["event"], last["node"], last["outputs"]) == ("demand_complete", "o", {"text": "hi"})
    assert last["meta"]["cached"] is False


def test_json_without_stream_is_one_object(call: Call, write: Write) -> None:
    result = call("run", write(*through("spell")), "--nodes", "cli_nodes", "--json", "--no-stream")

    (only,) = lines(result)
    assert only["outputs"] == {"text": "hi"}


def test_json_says_bytes_in_base64(call: Call, write: Write) -> None:
    result = call("run", write({"d": ("draw", {})}), "--nodes", "cli_nodes", "--json")

    assert lines(result)[-1]["outputs"] == {"value": {"base64": "ZHJhd24="}}


def test_a_failure_is_a_sentence_without_a_traceback(call: Call, write: Write) -> None:
    graph = write({"f": ("fail", {"text": "x"})})

    result = call("run", graph, "--nodes", "cli_nodes", "--demand", "f")

    assert (result.exit_code, result.stdout) == (1, "")
    sentence = "graphport: node 'f' (fail) raised ValueError: no good: x [node_failed]\n(--traceback shows where)\n"
    assert result.stderr.endswith(sentence)


def test_a_traceback_is_shown_where_it_is_wanted(call: Call, write: Write) -> None:
    graph = write({"f": ("fail", {"text": "x"})})

    result = call("run", graph, "--nodes", "cli_nodes", "--traceback")

    assert result.exit_code == 1
    assert 'raise ValueError("no good: " + text)' in result.stderr
    assert result.stderr.endswith("ValueError: no good: x\n")


def test_json_has_the_failure_too(call: Call, write: Write) -> None:
    graph = write({"f": ("fail", {"text": "x"})})

    result = call("run", graph, "--nodes", "cli_nodes", "--json")

    (only,) = lines(result)
    assert (result.exit_code, only["event"], only["node"]) == (1, "demand_error", "f")
    assert (only["error"]["code"], only["error"]["exception"]) == ("node_failed", "ValueError")


def test_a_deadline_ends_the_work(call: Call, write: Write) -> None:
    graph = write({"s": ("shout", {"text": "x", "seconds": 0.5})})

    result = call("run", graph, "--nodes", "cli_nodes", "--deadline", "0.05")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("graphport: the deadline of 50 ms passed [deadline_exceeded]\n")


def test_a_node_that_swallows_its_cancel_is_not_waited_for(call: Call, write: Write) -> None:
    result = call("run", write({"s": ("swallow", {})}), "--nodes", "cli_nodes", "--deadline", "0.05")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "[deadline_exceeded]" in result.stderr


def test_a_skipped_node_has_no_answer(call: Call, write: Write) -> None:
    nodes = {"c": ("conditional", {"value": "x", "condition": True}), "o": ("text-output", {})}

    result = call("run", write(nodes, ("c.false_out", "o.text")), "--demand", "o")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "graphport: node 'o' was skipped: it lies behind a branch that was not taken\n"


def test_faults_go_to_standard_error(call: Call, write: Write) -> None:
    result = call("run", write({"a": ("text-inputt", {})}))

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("graph.json:3: Node 'a': there is no node type 'text-inputt'.")
    assert result.stderr.endswith("graph.json: 1 fault\n")


def test_faults_in_json_are_a_failed_demand(call: Call, write: Write) -> None:
    result = call("run", write({"a": ("text-inputt", {})}), "--json")

    (only,) = lines(result)
    assert (result.exit_code, only["event"], only["error"]["code"]) == (1, "demand_error", "invalid_graph")
    assert [fault["code"] for fault in only["error"]["details"]["faults"]] == ["unknown_type"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.json"], "none.json cannot be read: No such file or directory."),
        (["graph.json", "--demand", "oo"], "The graph has no node 'oo'. Did you mean 'o'?"),
        (["graph.json", "--input", "a.txt=1"], "The node 'a' has no input 'txt'; it has: text. Did you mean 'text'?"),
        (["graph.json", "--nodes", "no_such"], "the module 'no_such' of node types could not be imported: "
         "ModuleNotFoundError: No module named 'no_such'"),
        (["two.json"], "The graph ends in 2 nodes; say which one with --demand: a, b."),
        (["empty.json"], "The graph has no nodes to demand."),
    ],
)  # fmt: skip
def test_wrong_usage_is_a_sentence_and_status_2(call: Call, write: Write, arguments: list[str], sentence: str) -> None:
    write(*ECHO)
    write({"a": ("text-input", {}), "b": ("text-input", {})}, name="two.json")
    write({}, name="empty.json")

    result = call("run", *arguments)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"graphport: {sentence}\n")


@pytest.mark.parametrize("arguments", [[], ["graph.json", "--deadline", "0"], ["graph.json", "--nothing"]])
def test_wrong_options_are_status_2(call: Call, arguments: list[str]) -> None:
    result = call("run", *arguments)

    assert (result.exit_code, result.stdout) == (2, "")


def test_a_module_that_fails_is_named_with_its_line(call: Call, write: Write, folder: Path) -> None:
    (folder / "cli_broken.py").write_text("x = 1\nprint(y)\n")

    result = call("run", write(*ECHO), "--nodes", "cli_broken")

    assert result.exit_code == 2
    assert "NameError: name 'y' is not defined" in result.stderr
    assert result.stderr.endswith("cli_broken.py, line 2)\n")


def test_a_module_that_ends_the_process_is_named_with_its_line(call: Call, write: Write, folder: Path) -> None:
    (folder / "cli_leaving.py").write_text("import sys\nsys.exit(5)\n")

    result = call("run", write(*ECHO), "--nodes", "cli_leaving")

    assert result.exit_code == 2
    assert "the module 'cli_leaving' of node types could not be imported: SystemExit: 5" in result.stderr
    assert result.stderr.endswith("cli_leaving.py, line 2)\n")


def test_seeds_are_the_same_for_every_run_unless_fresh_ones_are_asked_for(
    call: Call, write: Write, folder: Path
) -> None:
    (folder / "cli_nodes.py").write_text(
        "from graphport import node\n\n@node(effect='seeded')\ndef seed(seed: int | None = None) -> int:\n"
        "    return seed\n"
    )
    graph = write({"s": ("seed", {})})

    def drawn(*options: str) -> str:
        return str(call("run", graph, "--nodes", "cli_nodes", *options).stdout)

    assert drawn() == drawn() != drawn("--fresh") != drawn("--fresh")


@pytest.mark.parametrize("path", ["kept.db", "kept"])
def test_a_run_finds_what_the_one_before_has_kept(call: Call, write: Write, path: str, folder: Path) -> None:
    graph = write({"s": ("spell", {"text": "abc", "ending": "!"})})
    arguments = ("run", graph, "--nodes", "cli_nodes", "--json", "--cache", path)

    first, second = (lines(call(*arguments)) for _ in range(2))

    assert (folder / path).exists()
    assert [line["meta"]["cached"] for line in (first[-1], second[-1])] == [False, True]
    assert first[-1]["outputs"] == second[-1]["outputs"] == {"text": "abc!"}
    assert "".join(line["chunk"] for line in second[:-1]) == "abc"


def test_a_cache_that_cannot_be_opened_is_a_sentence(call: Call, write: Write, folder: Path) -> None:
    (folder / "notes.db").write_text("mine " * 100)

    result = call("run", write(*ECHO), "--cache", "notes.db")

    assert result.exit_code == 1
    assert "'notes.db' is no SQLite file; delete it, or give another path" in result.stderr
    assert result.stdout == ""
