from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from graphport.app.doctor import Finding
from graphport.cli import doctor

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Call = Callable[..., Result]

GOOD = [
    Finding(name="Python", status="ok", found="3.12", used_for="everything"),
    Finding(name="gcc", status="optional", found="not found on PATH", used_for="the benchmarks", fix="get it"),
]
BAD = [*GOOD, Finding(name="models", status="missing", found="none", used_for="local models", fix="install one")]


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the doctor will find."""
    found: list[Finding] = []
    monkeypatch.setattr(doctor, "examine", lambda _library: found)
    return found


def test_all_is_well(call: Call, findings: list[Finding]) -> None:
    findings += GOOD

    result = call("doctor")

    assert (result.exit_code, result.stdout) == (
        0,
        "ok        Python  3.12\n"
        "optional  gcc     not found on PATH\n"
        "                  for the benchmarks: get it\n"
        "Graphs with local models can run here.\n",
    )


def test_something_is_missing(call: Call, findings: list[Finding]) -> None:
    findings += BAD

    result = call("doctor")

    assert result.exit_code == 1
    assert result.stdout.splitlines()[-3:] == [
        "missing   models  none",
        "                  for local models: install one",
        "Graphs with local models cannot run here until what is missing is installed.",
    ]


@pytest.mark.parametrize(("found", "status"), [(GOOD, 0), (BAD, 1)])
def test_json(call: Call, findings: list[Finding], found: list[Finding], status: int) -> None:
    findings += found

    result = call("doctor", "--json")

    assert result.exit_code == status
    answer = json.loads(result.stdout)
    assert answer == {"ok": status == 0, "findings": [finding.to_plain() for finding in found]}
    assert set(answer["findings"][0]) == {"name", "status", "found", "used_for", "fix"}
