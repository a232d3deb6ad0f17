"""How a `llama-server` program is asked what it takes, and what its supervisor makes of its end."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from graphport.contracts.inference import LoadParameters, ModelFile, WorkerAddress
from graphport.core.errors import InferenceError
from graphport.inference.profiles.llama_server import LlamaServerProfile

if TYPE_CHECKING:
    from pathlib import Path

MODEL = ModelFile(path="/m.gguf", size=1, modified_ns=1)
TCP = WorkerAddress(url="http://127.0.0.1:0", api_key="very secret")


def program(folder: Path, *, says: str = "", then: str = "exit 0", help_status: int = 0) -> LlamaServerProfile:
    """A profile over a shell script that prints a help text, and does something else without `--help`."""
    path = folder / "llama-server"
    (folder / "help").write_text(says)
    path.write_text(f'#!/bin/sh\nif [ "$1" = --help ]; then cat "{folder}/help"; exit {help_status}; fi\n{then}\n')
    path.chmod(0o755)
    return LlamaServerProfile(str(path))


def arguments(profile: LlamaServerProfile, parameters: LoadParameters) -> list[str]:
    """The command line that the supervisor is given."""
    argv: list[str] = json.loads(profile.command(MODEL, parameters, TCP).argv[-1])["argv"]
    return argv


def test_a_build_gets_only_the_flags_that_it_names(tmp_path: Path) -> None:
    profile = program(tmp_path, says="  --no-warmup  skip\n-cram, --cache-ram N\n --fit-ctx N\n ends in --slots.")
    profile.check_available()

    given = arguments(profile, LoadParameters())

    assert "--no-warmup" in given
    assert given[given.index("--cache-ram") + 1] == "0"
    assert "--fit" not in given
    assert "--no-kv-unified" not in given


@pytest.mark.parametrize(("says", "known"), [("bind to an UNIX\n   socket", True), ("IP address to listen", False)])
def test_a_build_without_unix_sockets_gets_tcp(tmp_path: Path, says: str, known: bool) -> None:
    profile = program(tmp_path, says=says)
    profile.check_available()

    assert profile.capabilities.unix_socket is known


def test_the_context_is_for_each_slot(tmp_path: Path) -> None:
    given = arguments(program(tmp_path), LoadParameters(context_length=512, slots=3, gpu_layers=-1))

    assert given[given.index("--ctx-size") + 1] == "1536"
    assert given[given.index("--parallel") + 1] == "3"


def test_the_key_is_in_no_argument(tmp_path: Path) -> None:
    command = program(tmp_path).command(MODEL, LoadParameters(), TCP)

    assert "very secret" not in " ".join(command.argv)
    assert "very secret" in command.env.values()


def test_a_program_that_cannot_run_is_unavailable_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(InferenceError) as caught:
        program(tmp_path, says="libcuda.so.1: cannot open", help_status=127).check_available()

    assert caught.value.code == "backend_unavailable"
    assert "libcuda.so.1" in caught.value.message


@pytest.mark.parametrize(
    ("then", "status", "code"),
    [
        ("exit 1", 1, "invalid_model"),
        ("exit 0", 0, None),
        ("exit 127", 127, None),
        ("kill -6 $$", -signal.SIGABRT, None),
    ],
)
def test_the_end_of_the_program_is_passed_on(tmp_path: Path, then: str, status: int, code: str | None) -> None:
    profile = program(tmp_path, then=then)
    command = profile.command(MODEL, LoadParameters(), TCP)

    with subprocess.Popen(
        command.argv, env={**command.env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as worker:
        assert worker.wait(timeout=20) == status

    assert profile.start_failure(status) == code


def test_a_program_that_cannot_be_started_is_unavailable(tmp_path: Path) -> None:
    profile = program(tmp_path)
    command = profile.command(MODEL, LoadParameters(), TCP)
    (tmp_path / "llama-server").unlink()

    with subprocess.Popen(
        command.argv, env={**command.env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as worker:
        status = worker.wait(timeout=20)

    assert profile.start_failure(status) == "backend_unavailable"
