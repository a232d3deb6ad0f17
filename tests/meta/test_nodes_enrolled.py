"""Every file in `nodes/` is in the index, loads under its own name, and has tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from graphport.contracts.node import NodeType
from graphport.nodes import CORE_NODES

ROOT: Final = Path(__file__).parents[2]
NODE_FILES: Final = sorted(
    path.stem.replace("_", "-")
    for path in (ROOT / "python" / "graphport" / "nodes").glob("*.py")
    if not path.name.startswith("_")
)
GOLDEN: Final = ROOT / "tests" / "unit" / "nodes" / "golden"
# Nodes that need an engine or a service have a test file of their own instead of golden cases.
OWN_TESTS: Final = {"llamacpp-inference"}
# Nodes whose ports hang on a graph or on their data have an example graph each, and tests where graphs are evaluated.
STRUCTURE: Final = {"graph", "graph-input", "graph-output", "loop", "map"}


def test_the_index_lists_exactly_the_files() -> None:
    assert list(CORE_NODES) == NODE_FILES
    assert len(NODE_FILES) >= 8


@pytest.mark.parametrize("name", CORE_NODES)
def test_a_core_node_loads_under_its_name(name: str) -> None:
    node_type = CORE_NODES[name]()

    assert isinstance(node_type, NodeType)
    assert node_type.spec.type == name
    assert len(node_type.code_digest) == 16


@pytest.mark.parametrize("name", CORE_NODES)
def test_a_core_node_says_what_it_and_its_category_are(name: str) -> None:
    spec = CORE_NODES[name]().spec

    assert spec.title
    assert spec.description
    assert spec.category != "other"


@pytest.mark.parametrize("name", CORE_NODES)
def test_a_core_node_has_cases(name: str) -> None:
    if name in STRUCTURE:
        assert (GOLDEN.parent / "structure" / f"{name}.json").is_file()
        return
    if name in OWN_TESTS:
        assert (GOLDEN.parent / f"test_{name.replace('-', '_')}.py").is_file()
        return
    cases = json.loads((GOLDEN / f"{name}.json").read_text())

    assert len(cases) >= 3
    assert len({case["name"] for case in cases}) == len(cases)
    assert all(("outputs" in case) != ("error" in case) for case in cases)


def test_there_are_no_cases_of_nodes_that_are_gone() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CORE_NODES) - OWN_TESTS - STRUCTURE


def test_the_index_imports_no_node() -> None:
    code = "import sys, graphport.nodes; print([m for m in sys.modules if m.startswith('graphport.nodes.')])"

    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={"PYTHONPATH": str(ROOT / "python")},
    )

    assert answer.stdout.strip() == "['graphport.nodes._index']"
