"""The README's Python is run as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from tests.support.evaluation import bench

README: Final = Path(__file__).parents[2] / "README.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_readme_has_the_blocks_that_are_run() -> None:
    # The first two, modules of nodes, are run by the tests of the Elixir half.
    assert len(blocks()) == 3


def test_a_graph_is_built_and_run_as_shown() -> None:
    names: dict[str, Any] = {}

    exec(compile(blocks()[2], str(README), "exec"), names)

    assert names["outputs"] == {"text": "Why is the sky blue?\nWhy is the sky blue?"}
    assert [node["id"] for node in names["graph"]["nodes"]][-1] == "answer"


@pytest.mark.anyio
async def test_the_graph_of_graphs_gives_what_is_said() -> None:
    text = README.read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```json\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)

    async with bench() as b:
        b.open(json.loads(shown))
        answer = await b.demand("names", events=True)

    assert f"A demand for `names` gives `{json.dumps(answer.outputs)}`" in text
    assert {"names/0/get", "names/1/get"} <= {node for node, _ in answer.events}
