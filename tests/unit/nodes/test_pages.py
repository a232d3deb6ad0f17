"""The pages of the core nodes: up to date, and their examples give what they say when an engine runs them."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support.evaluation import bench
from tests.unit.nodes.golden_cases import CASES, services_of

from graphport.nodes import CORE_NODES

if TYPE_CHECKING:
    from types import ModuleType

SCRIPT: Final = Path(__file__).parents[3] / "scripts" / "gen_node_docs.py"
PAGES: Final = Path(__file__).parents[3] / "python" / "graphport" / "nodes" / "docs"
EXAMPLES: Final = {
    name: [json.loads(text) for text in re.findall(r"```json\n(.*?)\n```", path.read_text(), flags=re.DOTALL)]
    for name in CORE_NODES
    if (path := PAGES / f"{name}.md").is_file()
}


STRUCTURE: Final = {
    path.stem: json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "structure").glob("*.json"))
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gen_node_docs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_there_is_a_page_for_each_node() -> None:
    assert list(EXAMPLES) == list(CORE_NODES)
    assert len(STRUCTURE) >= 5


@pytest.mark.parametrize("harm", ["change", "delete", "add"])
def test_a_stale_page_is_found_and_mended(
    harm: str, script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([], tmp_path) == 0
    assert script.main(["--check"], tmp_path) == 0
    name = "of-no-node.md" if harm == "add" else "merge.md"
    if harm == "delete":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text("x")

    assert script.main(["--check"], tmp_path) == 1
    assert name in capsys.readouterr().err
    assert script.main([], tmp_path) == 0
    assert script.main(["--check"], tmp_path) == 0


def test_text_stays_in_its_cell(script: ModuleType) -> None:
    assert script.table(["a"], [["x | y\nz"]]).splitlines()[-1] == "| x \\| y z |"


@pytest.mark.anyio
@pytest.mark.parametrize("name", CASES)
async def test_an_example_gives_what_the_page_says(name: str) -> None:
    node, outputs, *chunks = EXAMPLES[name]

    async with bench(services=services_of(CASES[name][0])) as made:
        made.open({"nodes": [node], "edges": []})
        answer = await made.demand("it", stream=True)

    assert json.dumps(answer.outputs, sort_keys=True) == json.dumps(outputs, sort_keys=True)
    assert [[chunk.port, chunk.value] for chunk in answer.chunks] == (chunks[0] if chunks else [])


@pytest.mark.parametrize("name", sorted(CORE_NODES.keys() - CASES.keys() - STRUCTURE.keys()))
def test_an_example_that_cannot_be_run_here_uses_ports_that_there_are(name: str) -> None:
    (node,) = EXAMPLES[name]
    inputs: dict[str, Any] = {port.name: port for port in CORE_NODES[name]().spec.inputs}

    assert node["type"] == name
    assert node["data"].keys() <= inputs.keys()
    assert {port.name for port in inputs.values() if port.required} <= node["data"].keys()


@pytest.mark.anyio
@pytest.mark.parametrize("name", STRUCTURE)
async def test_an_example_graph_gives_what_the_page_says(name: str) -> None:
    loaded, outputs = EXAMPLES[name]
    assert (loaded, outputs) == (STRUCTURE[name]["graph"], STRUCTURE[name]["outputs"])

    async with bench() as made:
        made.open(loaded)

        assert await made.outputs(STRUCTURE[name]["demand"]) == outputs
