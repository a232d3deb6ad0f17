"""What `import graphport.erlport` says where ErlPort's Python code cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.erlport_client import ERLPORT, ROOT

if TYPE_CHECKING:
    from pathlib import Path

REPORT = """
from graphport.core.errors import ErlPortNotFound
try:
    import graphport.erlport
    graphport.erlport.start(b"\\x80")
except ErlPortNotFound as error:
    assert isinstance(error, ImportError)
    print(error.code, error.message)
"""


def said(*folders: Path) -> str:
    paths = os.pathsep.join(str(path) for path in [*folders, ROOT / "python"])
    run = subprocess.run(
        [sys.executable, "-c", REPORT], env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert run.stderr == ""
    return run.stdout


def test_without_erlport_it_says_who_brings_it() -> None:
    text = said()

    assert text.startswith("erlport_not_found ErlPort's Python package is not there")
    assert "python:start" in text


@pytest.mark.parametrize(
    "source",
    [
        "raise ValueError, 'Python 2'",
        "from erlport.erlterms import Atom",
        "Atom = unicode",
        "",
    ],
)
def test_with_a_package_for_python_2_it_says_to_uninstall_it(tmp_path: Path, source: str) -> None:
    (tmp_path / "erlport").mkdir()
    (tmp_path / "erlport" / "__init__.py").write_text(source)

    text = said(tmp_path)

    assert text.startswith("erlport_not_found ErlPort's Python package")
    assert "uninstall it" in text


def test_outside_a_process_of_erlport_the_first_call_says_so() -> None:
    assert said(ERLPORT).startswith("erlport_not_found This process was not started by ErlPort.")
