from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from graphport.app.backends import Backends
from graphport.app.doctor import Finding, Spoken, ask, examine, installed_models, is_fit
from graphport.app.models import CATALOGUE, ModelFolder
from graphport.inference.profiles.llama_server import LlamaServerProfile
from graphport.inference.profiles.llamacpp_python import LlamacppPythonProfile
from graphport.inference.profiles.xllamacpp import XllamacppProfile

if TYPE_CHECKING:
    from pathlib import Path

BACKENDS = ("xllamacpp", "llama-cpp-python", "llama-server")
SAYS: dict[str, Spoken | None] = {
    "xllamacpp": Spoken(status=0, output=""),
    "llama-cpp-python": Spoken(status=0, output=""),
    "sh": Spoken(status=0, output="version: 1"),
    "elixir": Spoken(status=0, output="1.14.0"),
    "erl": Spoken(status=0, output="25"),
    "gcc": Spoken(status=0, output="12.2.0"),
}


def backends(absent: tuple[str, ...], environment: dict[str, str]) -> Backends:
    """Profiles that find something else instead of their programs, or nothing."""

    def instead(name: str, something: str) -> str:
        return "surely_not_installed" if name in absent else something

    return Backends(
        environment,
        (
            XllamacppProfile(package=instead("xllamacpp", "json")),
            LlamacppPythonProfile(packages=(instead("llama-cpp-python", "json"),)),
            LlamaServerProfile(instead("llama-server", "sh")),
        ),
    )


def look(
    folder: Path,
    *,
    says: dict[str, Spoken | None] | None = None,
    absent: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
) -> dict[str, Finding]:
    """What is found on a machine that has everything but what is absent, and where programs say what they say."""
    answers = SAYS | (says or {})

    def answer(command: list[str]) -> Spoken | None:
        imports = {"import xllamacpp": "xllamacpp", "import llama_cpp.server.app": "llama-cpp-python"}
        return answers[imports.get(command[-1]) or command[0].rpartition("/")[2]]

    found = examine(
        ModelFolder(folder),
        ask=answer,
        which=lambda program: None if program in absent else f"/bin/{program}",
        version=lambda package: None if package in absent else "1.2.3",
        backends=backends(absent, environment or {}),
    )
    return {finding.name: finding for finding in found}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one model."""
    (tmp_path / "mine.gguf").write_bytes(b"GGUF")
    return tmp_path


def test_a_machine_that_has_everything(folder: Path) -> None:
    found = look(folder)

    names = ("Python", "uvloop", *BACKENDS, "models", "Elixir", "Erlang/OTP", "gcc")
    assert {name: finding.status for name, finding in found.items()} == {
        **dict.fromkeys(names, "ok"),
        "external": "optional",
    }
    assert [name for name, finding in found.items() if finding.fix] == ["external"]
    assert [name for name, finding in found.items() if finding.found.endswith(", in use")] == ["xllamacpp"]
    assert found["models"].found == f"mine (in {folder})"
    assert found["Elixir"].found == "1.14.0 (/bin/elixir)"
    assert is_fit(list(found.values()))


@pytest.mark.parametrize(
    ("absent", "name", "fix"),
    [
        ("uvloop", "uvloop", "pip install 'graphport[speed]'"),
        ("elixir", "Elixir", "apt-get install elixir"),
        ("erl", "Erlang/OTP", "it comes with Elixir"),
        ("gcc", "gcc", "apt-get install gcc"),
    ],
)
def test_what_a_local_model_does_not_need_is_optional(folder: Path, absent: str, name: str, fix: str) -> None:
    found = look(folder, absent=(absent,))

    assert found[name].status == "optional"
    assert fix in found[name].fix
    assert is_fit(list(found.values()))


def test_without_a_backend_no_model_runs(folder: Path) -> None:
    found = look(folder, absent=BACKENDS)

    assert {name: found[name].status for name in (*BACKENDS, "external")} == {
        "xllamacpp": "missing",
        "llama-cpp-python": "optional",
        "llama-server": "optional",
        "external": "optional",
    }
    assert "pip install 'graphport[local]'" in found["xllamacpp"].fix
    assert "pip install 'graphport[llama-cpp-python]'" in found["llama-cpp-python"].fix
    assert "GRAPHPORT_LLAMA_SERVER" in found["llama-server"].fix
    assert "GRAPHPORT_LLAMA_URL" in found["external"].fix
    assert not is_fit(list(found.values()))


@pytest.mark.parametrize("only", BACKENDS)
def test_any_single_backend_is_enough(folder: Path, only: str) -> None:
    found = look(folder, absent=tuple(name for name in BACKENDS if name != only))

    assert found[only].status == "ok"
    assert found[only].found.endswith(", in use")
    assert is_fit(list(found.values()))


def test_a_configured_url_is_in_use_and_not_shown(folder: Path) -> None:
    finding = look(folder, environment={"GRAPHPORT_LLAMA_URL": "http://host:8080"})["external"]

    assert (finding.status, finding.found) == ("ok", "a URL is set, in use")


def test_a_url_that_is_none_is_said_without_its_password(folder: Path) -> None:
    for url in ("notaurl", "http://me:secret@host"):
        finding = look(folder, environment={"GRAPHPORT_LLAMA_URL": url})["external"]

        assert finding.status == "missing"
        assert "GRAPHPORT_LLAMA_URL" in finding.found
        assert "secret" not in finding.found


def test_a_chosen_backend_must_be_there(folder: Path) -> None:
    found = look(folder, absent=("llama-server",), environment={"GRAPHPORT_BACKEND": "llama-server"})

    assert found["llama-server"].status == "missing"
    assert found["xllamacpp"].status == "ok"
    assert not is_fit(list(found.values()))


def test_an_unknown_choice_is_said(folder: Path) -> None:
    found = look(folder, environment={"GRAPHPORT_BACKEND": "llama"})

    assert found["backend"].status == "missing"
    assert "'llama'" in found["backend"].found


@pytest.mark.parametrize(
    ("said", "found", "fix"),
    [
        (
            Spoken(status=1, output="Traceback\nImportError: libgomp.so.1: cannot open shared object file"),
            "1.2.3, but it cannot be loaded: ImportError: libgomp.so.1: cannot open shared object file",
            "apt-get install libgomp1",
        ),
        (Spoken(status=-4, output=""), "1.2.3, but it cannot be loaded: exit status -4", "--force-reinstall"),
        (None, "1.2.3, but it cannot be loaded: it does not end", "--force-reinstall"),
    ],
)
def test_a_backend_that_cannot_be_loaded(folder: Path, said: Spoken | None, found: str, fix: str) -> None:
    finding = look(folder, says={"xllamacpp": said})["xllamacpp"]

    assert (finding.status, finding.found) == ("missing", found)
    assert fix in finding.fix


def test_without_a_model_none_runs(tmp_path: Path) -> None:
    finding = look(tmp_path)["models"]

    assert (finding.status, finding.found) == ("missing", f"none in {tmp_path}")
    assert "graphport models install smollm2" in finding.fix


@pytest.mark.parametrize(
    ("program", "said", "name", "found"),
    [
        ("elixir", Spoken(status=0, output="1.13.4"), "Elixir", "1.13.4 (/bin/elixir), too old"),
        ("elixir", Spoken(status=1, output="no"), "Elixir", "/bin/elixir does not say its version"),
        ("erl", Spoken(status=0, output="24"), "Erlang/OTP", "24 (/bin/erl), too old"),
        ("gcc", None, "gcc", "/bin/gcc does not say its version"),
    ],
)
def test_a_program_that_will_not_do(folder: Path, program: str, said: Spoken | None, name: str, found: str) -> None:
    finding = look(folder, says={program: said})[name]

    assert (finding.status, finding.found) == ("optional", found)
    assert finding.fix


@pytest.mark.parametrize("version", ["1.14.0", "1.18.0-rc.1", "2.0.0"])
def test_newer_programs_will_do(folder: Path, version: str) -> None:
    assert look(folder, says={"elixir": Spoken(status=0, output=version)})["Elixir"].status == "ok"


def test_models_are_those_of_the_catalogue_and_the_user_s(tmp_path: Path) -> None:
    def put(path: str, size: int) -> None:
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        with open(file, "wb") as target:
            target.truncate(size)

    model = CATALOGUE["smollm2"]
    put("mine.gguf", 4)
    put("parts/part-1.gguf", 4)
    put("notes.txt", 4)
    put("empty/readme", 4)
    put(f"smollm2/{model.file_name}", model.size)

    assert list(installed_models(ModelFolder(tmp_path))) == ["mine", "parts", "smollm2"]
    put(f"smollm2/{model.file_name}", 10)
    assert list(installed_models(ModelFolder(tmp_path))) == ["mine", "parts"]


def test_a_folder_that_is_not_there_has_no_models(tmp_path: Path) -> None:
    assert installed_models(ModelFolder(tmp_path / "none")) == {}


@pytest.mark.parametrize(
    ("command", "spoken"),
    [
        ([sys.executable, "-c", "import sys; print('a'); print('b', file=sys.stderr, flush=True); sys.exit(3)"], 3),
        (["/no/such/program"], None),
    ],
)
def test_a_program_is_asked(command: list[str], spoken: int | None) -> None:
    said = ask(command)

    assert (None if said is None else said.status) == spoken
    assert said is None or set(said.output.split()) == {"a", "b"}
