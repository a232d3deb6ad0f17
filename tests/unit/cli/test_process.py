"""The command as a process: what only shows there, and one run with a real model."""

from __future__ import annotations

import importlib.util
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from graphport.testing.gguf_models import write_successor_model

if TYPE_CHECKING:
    from collections.abc import Callable

    Write = Callable[..., str]

PACKAGE: Final = Path(__file__).parents[3] / "python"
PATIENCE_S: Final = 30
# Says that typer and rich are not there, then runs the command.
WITHOUT_EXTRA: Final = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in ("typer", "rich") else find(name, *rest)
class Refuse:
    def find_spec(self, name, *rest):
        if name.partition(".")[0] in ("typer", "rich", "click"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from graphport.cli import main
sys.exit(main(sys.argv[1:]))
"""
LLM_GRAPH: Final = {
    "nodes": [
        {"id": "prompt", "type": "text-input", "data": {"text": "a"}},
        {"id": "llm", "type": "llamacpp-inference", "data": {"model_path": "model.gguf", "temperature": 0}},
        {"id": "answer", "type": "text-output"},
    ],
    "edges": [
        {"source": "prompt", "source_handle": "text", "target": "llm", "target_handle": "prompt"},
        {"source": "llm", "source_handle": "response", "target": "answer", "target_handle": "text"},
    ],
}


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(PACKAGE), "PYTHONUNBUFFERED": "1"}


def run(*arguments: str, python: tuple[str, ...] = ("-m", "graphport")) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *python, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def slow_graph(folder: Path, write: Write) -> str:
    """A node that says on standard error when it has begun, and then takes a long time."""
    (folder / "cli_slow.py").write_text(
        "import os, sys, time\nfrom graphport import node\n\n@node(effect='volatile')\ndef slow() -> str:\n"
        "    os.write(1, b'begun\\n')\n    time.sleep(600)\n    return ''\n"
    )
    return write({"s": ("slow", {})})


def test_what_c_code_prints_is_kept_out_of_the_answer(folder: Path, write: Write) -> None:
    (folder / "cli_raw.py").write_text(
        "import os\nfrom graphport import node\n\n@node(effect='volatile')\ndef raw() -> str:\n"
        "    os.write(1, b'from C\\n')\n    os.system('echo from a child')\n    return 'ä'\n"
    )

    done = run("run", write({"r": ("raw", {})}), "--nodes", "cli_raw")

    assert (done.returncode, done.stdout) == (0, "ä\n")
    assert "from C\n" in done.stderr
    assert "from a child\n" in done.stderr


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_ctrl_c_cancels(slow_graph: str, options: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "graphport", "run", slow_graph, "--nodes", "cli_slow", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with process:
        assert process.stderr is not None
        while process.stderr.readline() != "begun\n":
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    if options:
        last = json.loads(out.splitlines()[-1])
        assert (last["event"], last["error"]["code"]) == ("demand_error", "cancelled")
    else:
        assert err.endswith("graphport: the demand was cancelled [cancelled]\n")
    assert "Traceback" not in err


@pytest.mark.usefixtures("folder")
def test_a_reader_that_goes_away_is_no_traceback(write: Write) -> None:
    graph = write({"a": ("text-input", {"text": "x" * 1_000_000})})
    process = subprocess.Popen(
        [sys.executable, "-m", "graphport", "run", graph],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()

    assert (process.wait(PATIENCE_S), said) == (1, b"")


@pytest.mark.usefixtures("folder")
def test_a_terminal_sees_what_is_at_work_and_no_control_characters(write: Write) -> None:
    nodes = {"s": ("shout", {"text": "a\x1b[31mb", "seconds": 0.4})}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "graphport", "run", write(nodes), "--nodes", "cli_nodes"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment() | {"TERM": "xterm", "NO_COLOR": "1"},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(ours, 65_536)
        except OSError:  # the terminal's other side is closed
            break
    os.close(ours)

    assert process.wait(PATIENCE_S) == 0
    assert b"[0/1] s" in seen
    assert seen.endswith(b"A[31MB\r\n")
    assert b"\x1b[31" not in seen


@pytest.mark.parametrize("command", ["run", "check", "nodes", "doctor"])
def test_without_the_extra_a_command_says_what_to_install(command: str) -> None:
    done = run(command, "graph.json", python=("-c", WITHOUT_EXTRA))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"graphport {command} needs packages that are not installed. Type: pip install 'graphport[cli]'\n"
    )


def test_without_the_extra_models_are_listed() -> None:
    done = run("models", "list", python=("-c", WITHOUT_EXTRA))

    assert (done.returncode, done.stderr) == (0, "")
    assert "smollm2" in done.stdout


def test_port_needs_nothing_of_the_extra() -> None:
    done = run("port", python=("-c", WITHOUT_EXTRA))

    assert done.returncode == 64
    assert "file descriptors 3 and 4" in done.stderr


def test_port_imports_nothing_of_the_extra() -> None:
    code = (
        "import sys\nfrom graphport.cli import main\n"
        "try:\n    main(['port', '--help'])\nexcept SystemExit:\n    pass\n"
        "import graphport.app.engine\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('typer', 'rich', 'click')])"
    )

    done = run(python=("-c", code))

    assert done.stdout.splitlines()[-1] == "[]"
    assert "--nodes MODULE" in done.stdout
    assert "--stdio" in done.stdout


def test_help_says_the_exit_statuses() -> None:
    done = run("run", "--help")

    assert done.returncode == 0
    assert "Exit status: 0 answered; 1" in done.stdout


def test_doctor_looks_at_this_machine() -> None:
    done = run("doctor", "--json")

    answer = json.loads(done.stdout)
    assert done.returncode == (0 if answer["ok"] else 1)
    found = {finding["name"]: finding for finding in answer["findings"]}
    assert found["Python"]["status"] == "ok"
    assert sys.executable in found["Python"]["found"]


needs_xllamacpp = pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp is not installed")


@needs_xllamacpp
def test_a_model_s_text_streams(folder: Path) -> None:
    write_successor_model(folder / "model.gguf")
    (folder / "llm.json").write_text(json.dumps(LLM_GRAPH))
    arguments = ("run", "llm.json", "--demand", "answer", "--input", "prompt.text=w")

    as_text = run(*arguments)
    as_json = run(*arguments, "--json")

    assert (as_text.returncode, as_text.stdout) == (0, "xyz\n")
    # Nodes are named when they take long enough to be seen at work.
    assert as_text.stderr in ("", "graphport: [1/3] llm …\n")
    *chunks, last = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert as_json.returncode == 0
    assert chunks  # as many as the loop had turns: borders mean nothing
    assert "".join(chunk["chunk"] for chunk in chunks) == "xyz"
    assert last["outputs"] == {"text": "xyz"}


@needs_xllamacpp
def test_ctrl_c_stops_a_model_that_never_ends(folder: Path) -> None:
    write_successor_model(folder / "model.gguf", endless=True)
    (folder / "llm.json").write_text(json.dumps(LLM_GRAPH))
    process = subprocess.Popen(
        [sys.executable, "-m", "graphport", "run", "llm.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.read(3) == "bcd"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    assert err.endswith("graphport: the demand was cancelled [cancelled]\n")


def test_output_that_cannot_be_written_is_said() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "graphport", "nodes"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )

    assert done.returncode == 1
    assert done.stderr.startswith("graphport: the output cannot be written")
    assert "Traceback" not in done.stderr
