"""What every Python file of the repository keeps to, beyond what the linters check."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "python" / "graphport"
FILES: Final = sorted(
    path for folder in ("python", "scripts", "tests") for path in (ROOT / folder).rglob("*.py") if path.is_file()
)
LINES_OF_A_FILE: Final = 500
LINES_OF_A_FUNCTION: Final = 50

# Where modules may be imported by a name that is known only at run time; import-linter cannot see those.
MAY_IMPORT_BY_NAME: Final = {"__init__.py", "nodes/_index.py", "http/client.py"}

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its signature and docstring."""
    body = function.body[1:] if is_docstring(function.body[0]) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_files_were_found() -> None:
    assert len(FILES) > 60
    assert len([path for path in FILES if path.is_relative_to(PACKAGE)]) > 40


@each_file
def test_a_file_is_short(path: Path) -> None:
    count = len(path.read_text(encoding="utf-8").splitlines())

    assert count <= LINES_OF_A_FILE, f"{count} lines; a file has at most {LINES_OF_A_FILE}, being one idea"


# The names of tests say what a test file is about, so there a docstring is welcome but not asked for.
@pytest.mark.parametrize(
    "path",
    [path for path in FILES if not path.is_relative_to(ROOT / "tests")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_file_begins_by_saying_what_it_is(path: Path) -> None:
    assert ast.get_docstring(parsed(path)), "the module has no docstring"


@each_file
def test_functions_are_short(path: Path) -> None:
    long = [
        f"{one.name}, line {one.lineno}: {body_lines(one)}"
        for one in ast.walk(parsed(path))
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(one) > LINES_OF_A_FUNCTION
    ]

    assert not long, f"a function has at most {LINES_OF_A_FUNCTION} lines"


@each_file
def test_no_work_is_left_as_a_note(path: Path) -> None:
    notes = ("TO" + "DO", "FIX" + "ME", "X" * 3)
    found = [line for line in path.read_text(encoding="utf-8").splitlines() if any(note in line for note in notes)]

    assert not found


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.is_relative_to(PACKAGE)],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_modules_are_imported_by_name_in_few_places_only(path: Path) -> None:
    where = path.relative_to(PACKAGE)
    calls = [
        one
        for one in ast.walk(parsed(path))
        if (isinstance(one, ast.Attribute) and one.attr == "import_module")
        or (isinstance(one, ast.Name) and one.id in ("import_module", "__import__"))
    ]

    assert not calls or where.as_posix() in MAY_IMPORT_BY_NAME or where.parts[0] == "app"


def test_a_body_is_counted_without_signature_and_docstring() -> None:
    (function,) = ast.parse(
        'def f(\n    a,\n    b,\n):\n    """One.\n\n    Two.\n    """\n    a = 1\n\n    return a\n'
    ).body
    assert isinstance(function, ast.FunctionDef)

    assert body_lines(function) == 3
