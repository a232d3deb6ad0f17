"""How the worker of llama.cpp is started, and what it is protected from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graphport.contracts.inference import LoadParameters, ModelFile, WorkerAddress
from graphport.core.errors import InferenceError
from graphport.inference.profiles.xllamacpp import XllamacppProfile

MODEL = ModelFile(path="/m.gguf", size=1, modified_ns=1)
SOCKET = WorkerAddress(socket_path="/s/w.sock")
TCP = WorkerAddress(url="http://127.0.0.1:0", api_key="very secret")


def test_a_missing_package_says_what_to_type() -> None:
    with pytest.raises(InferenceError) as caught:
        XllamacppProfile(package="surely_not_installed").check_available()

    assert caught.value.code == "backend_unavailable"
    assert "pip install 'graphport[local]'" in caught.value.message


@pytest.mark.parametrize(
    "wrong",
    [
        {"context_length": 1},
        {"context_length": 63},
        {"context_length": 2**31},
        {"context_length": 512.0},
        {"context_length": True},
        {"gpu_layers": -2},
        {"slots": 0},
        {"batch_size": 0},
        {"threads": 0},
    ],
)
def test_what_would_abort_llama_cpp_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InferenceError) as caught:
        XllamacppProfile().check_parameters(LoadParameters(**wrong))

    assert caught.value.code == "invalid_input"
    assert next(iter(wrong)) in caught.value.message


def test_usual_parameters_are_taken() -> None:
    XllamacppProfile().check_parameters(LoadParameters())
    XllamacppProfile().check_parameters(LoadParameters(context_length=64, threads=1, slots=1))


def test_the_key_is_in_the_environment_and_not_in_the_arguments() -> None:
    command = XllamacppProfile().command(MODEL, LoadParameters(), TCP)

    assert "very secret" not in " ".join(command.argv)
    assert "very secret" in command.env.values()
    assert "very secret" not in repr(command)
    assert "very secret" not in repr(TCP)


def test_the_worker_gets_no_debugger_and_all_settings() -> None:
    command = XllamacppProfile().command(MODEL, LoadParameters(context_length=99), SOCKET)

    assert command.env["GGML_NO_BACKTRACE"] == "1"
    settings = json.loads(command.argv[-1])
    assert settings["model"] == "/m.gguf"
    assert settings["context_length"] == 99
    assert settings["socket_path"] == "/s/w.sock"
    assert settings["threads"] >= 1


@pytest.mark.parametrize("line", [b"", b"loading", b"{", b"[]", b"1", b'{"other": 1}'])
def test_other_lines_are_no_announcement(line: bytes) -> None:
    assert XllamacppProfile().address(line, SOCKET) is None


def test_an_announcement_over_tcp_gives_the_port() -> None:
    line = b'{"listening": "http://127.0.0.1:4711"}'

    assert XllamacppProfile().address(line, SOCKET) == SOCKET
    assert XllamacppProfile().address(line, TCP) == WorkerAddress(url="http://127.0.0.1:4711", api_key="very secret")


def test_only_the_agreed_status_means_a_bad_file() -> None:
    assert XllamacppProfile().start_failure(3) == "invalid_model"
    assert XllamacppProfile().start_failure(4) == "backend_unavailable"
    assert not any(XllamacppProfile().start_failure(code) for code in (0, 1, -6, -9, -11))
