"""The digest of a node's code: it changes with the source file, and is there without one."""

from __future__ import annotations

import importlib.util
import os
from functools import wraps
from typing import TYPE_CHECKING, Any

from graphport.graph.code_digest import code_digest

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "def f(x):\n    return x\n\ndef g(x):\n    return x + 1\n"


def load(path: Path, source: str, mtime: int) -> Any:
    path.write_text(source)
    os.utime(path, (mtime, mtime))
    spec = importlib.util.spec_from_file_location("mine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def typed_in(source: str) -> Any:
    names: dict[str, Any] = {}
    exec(compile(source, "<console>", "exec"), names)
    return names["f"]


def test_functions_of_one_file_share_its_digest(tmp_path: Path) -> None:
    module = load(tmp_path / "mine.py", SOURCE, 1)

    assert code_digest(module.f) == code_digest(module.g)
    assert len(code_digest(module.f)) == 16


def test_any_change_in_the_file_changes_the_digest(tmp_path: Path) -> None:
    before = code_digest(load(tmp_path / "mine.py", SOURCE, 1).f)
    after = code_digest(load(tmp_path / "mine.py", SOURCE.replace("+ 1", "+ 2"), 2).f)
    back = code_digest(load(tmp_path / "mine.py", SOURCE, 3).f)

    assert before != after
    assert before == back


def test_code_without_a_file_is_known_by_its_bytecode() -> None:
    one = typed_in("def f(x):\n    return [y + 1 for y in x]")
    same = typed_in("\n\ndef f(x):\n    return [y + 1 for y in x]")
    constant = typed_in("def f(x):\n    return [y + 2 for y in x]")
    name = typed_in("def f(x):\n    return [y.a for y in x]")

    assert code_digest(one) == code_digest(same)
    assert len({code_digest(one), code_digest(constant), code_digest(name)}) == 3


def test_a_wrapped_function_is_known_by_what_it_wraps(tmp_path: Path) -> None:
    module = load(tmp_path / "mine.py", SOURCE, 1)

    @wraps(module.f)
    def wrapper(x: Any) -> Any:
        return module.f(x)

    assert code_digest(wrapper) == code_digest(module.f)
