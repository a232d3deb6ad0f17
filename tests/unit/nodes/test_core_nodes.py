"""Each core node against its golden cases: inputs, and the outputs or the error they give.

The cases are data in `golden/`, one file per node type; `tests/meta` asks that every node has some.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Final

import pytest

from graphport.core.errors import NodeError
from graphport.graph.port_types import KNOWN_TYPES
from graphport.nodes import CORE_NODES
from graphport.testing import RecordingContext

GOLDEN: Final = Path(__file__).parent / "golden"
CASES: Final = [
    pytest.param(path.stem, case, id=f"{path.stem} {case['name']}")
    for path in sorted(GOLDEN.glob("*.json"))
    for case in json.loads(path.read_text())
]


def test_no_case_was_lost() -> None:
    assert len(CASES) >= 66


@pytest.mark.parametrize(("name", "case"), CASES)
def test_core_node(name: str, case: dict[str, Any]) -> None:
    node_type = CORE_NODES[name]()
    inputs = copy.deepcopy(case["inputs"])
    assert set(inputs) == {port.name for port in node_type.spec.inputs}

    if "error" in case:
        with pytest.raises(NodeError) as caught:
            node_type(inputs, RecordingContext())
        assert (caught.value.code, caught.value.message) == (case["error"], case["message"])
    else:
        outputs = node_type(inputs, RecordingContext())
        # As JSON, so that 1, 1.0 and true are told apart.
        assert json.dumps(outputs, sort_keys=True) == json.dumps(case["outputs"], sort_keys=True)
        declared = {port.name for port in node_type.spec.outputs}
        assert set(outputs) < declared if node_type.spec.gate else set(outputs) == declared
    assert inputs == case["inputs"]


@pytest.mark.parametrize("name", sorted({path.stem for path in GOLDEN.glob("*.json")}))
def test_plain_core_nodes_are_inline_pure_and_trusted(name: str) -> None:
    node_type = CORE_NODES[name]()

    assert (node_type.spec.execution, node_type.spec.effect, node_type.trusted) == ("inline", "pure", True)
    assert node_type.spec.description
    assert {port.type for port in (*node_type.spec.inputs, *node_type.spec.outputs)} <= KNOWN_TYPES


def test_what_no_json_file_can_say() -> None:
    text, number = CORE_NODES["text-output"](), CORE_NODES["number-input"]()

    assert text({"text": b"x"}) == {"text": "\"b'x'\""}
    assert number({"value": 10**400}) == {"value": 10**400}
    for value in (float("inf"), float("nan")):
        with pytest.raises(NodeError, match="finite"):
            number({"value": value})
    with pytest.raises(NodeError, match="finite"):
        number({"value": "9" * 5000})
