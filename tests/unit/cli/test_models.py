from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from graphport.app.models import CATALOGUE, ModelFolder, Progress
from graphport.cli import bare
from graphport.core.errors import InferenceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Call = Callable[..., Result]


@pytest.fixture(autouse=True)
def models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of models."""
    monkeypatch.setenv("GRAPHPORT_MODELS", str(folder / "models"))
    (folder / "models").mkdir()
    return folder / "models"


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch, models: Path) -> None:
    """Installation without a download."""

    def install(_library: ModelFolder, name: str, report: Callable[[Progress], None]) -> Path:
        if name not in CATALOGUE:
            raise InferenceError(f"no {name}", code="model_not_found")
        if name == "smollm2" and (models / "full").exists():
            raise InferenceError("the disk is full", code="backend_unavailable")
        for step in ("download", "done"):
            report(Progress(step=step, done=2_000_000, total=2_000_000))
        return models / name

    monkeypatch.setattr(ModelFolder, "install", install)


def test_list_shows_what_can_be_installed(call: Call) -> None:
    result = call("models", "list")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"smollm2      {CATALOGUE['smollm2'].description} (not installed)\n"


def test_list_shows_the_user_s_own_models(call: Call, models: Path) -> None:
    (models / "mine.gguf").write_bytes(b"GGUF")

    result = call("models", "list")

    assert result.stdout.splitlines()[0] == f"mine         Put there by you. ({models / 'mine.gguf'})"


def test_list_in_json(call: Call, models: Path) -> None:
    (models / "mine.gguf").write_bytes(b"GGUF")

    result = call("models", "list", "--json")

    answer = json.loads(result.stdout)
    assert answer["folder"] == str(models)
    assert [(one["name"], one["installable"], one["path"]) for one in answer["models"]] == [
        ("mine", False, str(models / "mine.gguf")),
        ("smollm2", True, None),
    ]


@pytest.mark.usefixtures("installs")
def test_install_says_where_the_model_is(call: Call, models: Path) -> None:
    result = call("models", "install", "smollm2")

    assert (result.exit_code, result.stdout) == (0, f"{models / 'smollm2'}\n")
    assert result.stderr == "download (2 MB)\ndone (2 MB)\n"


@pytest.mark.usefixtures("installs")
def test_install_in_json(call: Call, models: Path) -> None:
    result = call("models", "install", "smollm2", "--json")

    assert json.loads(result.stdout) == {"name": "smollm2", "path": str(models / "smollm2")}


@pytest.mark.usefixtures("installs")
def test_an_unknown_model_is_wrong_usage(call: Call) -> None:
    result = call("models", "install", "gpt")

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", "graphport: no gpt\n")


@pytest.mark.usefixtures("installs")
def test_a_failed_installation_is_status_1(call: Call, models: Path) -> None:
    (models / "full").touch()

    result = call("models", "install", "smollm2")

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "graphport: the disk is full\n")


@pytest.mark.usefixtures("installs")
def test_models_work_without_the_extra(capsys: pytest.CaptureFixture[str], models: Path) -> None:
    assert bare.main(["models", "list"]) == 0
    assert bare.main(["models", "install", "smollm2", "--json"]) == 0
    assert bare.main(["models", "install", "gpt"]) == 2

    listed, installed = capsys.readouterr().out.splitlines()
    assert listed.startswith("smollm2 ")
    assert json.loads(installed) == {"name": "smollm2", "path": str(models / "smollm2")}


@pytest.mark.parametrize("rest", [[], ["x.json", "--demand", "a"], ["--help"], ["--json"]])
@pytest.mark.parametrize("command", bare.NEEDS_EXTRA)
def test_other_commands_say_what_to_install(capsys: pytest.CaptureFixture[str], command: str, rest: list[str]) -> None:
    status = bare.main([command, *rest])

    said = capsys.readouterr()
    assert (status, said.out) == (1, "")
    assert said.err == (
        f"graphport {command} needs packages that are not installed. Type: pip install 'graphport[cli]'\n"
    )
