"""The README's Python is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

README: Final = Path(__file__).parents[2] / "README.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_readme_has_the_blocks_that_are_run() -> None:
    # The first, a module of nodes, is run by the tests of the Elixir half.
    assert len(blocks()) == 2


def test_a_graph_is_built_and_run_as_shown() -> None:
    names: dict[str, Any] = {}

    exec(compile(blocks()[1], str(README), "exec"), names)

    assert names["outputs"] == {"text": "Why is the sky blue?\nWhy is the sky blue?"}
    assert [node["id"] for node in names["graph"]["nodes"]][-1] == "answer"
