"""Specs as plain data."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from graphport.contracts.node import NodeSpec, PortSpec
from graphport.graph.describe import describe
from graphport.nodes import CORE_NODES


def default_of(value: Any) -> Any:
    """How a default is described; the answer must pass through JSON unchanged."""
    spec = NodeSpec(type="t", inputs=(PortSpec(name="p", default=value),))
    found = describe(spec)["inputs"][0]["default"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def test_a_spec_is_described_whole() -> None:
    spec = NodeSpec(
        type="t",
        title="T",
        inputs=(PortSpec(name="a", type="number", default=1, min=0, choices=(1, 2), setting="s"),),
        outputs=(PortSpec(name="b", type="string", stream=True, description="B."),),
        execution="async",
        timeout_ms=5,
    )

    assert describe(spec) == {
        "type": "t",
        "version": "1",
        "title": "T",
        "category": "other",
        "description": "",
        "inputs": [
            {
                "name": "a",
                "type": "number",
                "required": False,
                "default": 1,
                "min": 0.0,
                "max": None,
                "choices": [1, 2],
                "multiple": False,
                "external": False,
                "hidden": False,
                "setting": "s",
                "description": "",
            }
        ],
        "outputs": [{"name": "b", "type": "string", "stream": True, "hidden": False, "description": "B."}],
        "effect": "pure",
        "execution": "async",
        "gate": False,
        "content_digest": False,
        "timeout_ms": 5,
        "services": [],
    }


def test_no_field_of_a_spec_is_left_out() -> None:
    description = describe(NodeSpec(type="t", inputs=(PortSpec(name="a"),)))

    assert description.keys() == NodeSpec.model_fields.keys()
    assert description["inputs"][0].keys() == PortSpec.model_fields.keys() - {"stream"}


@pytest.mark.parametrize("name", CORE_NODES)
def test_each_core_node_is_described_in_json(name: str) -> None:
    description = describe(CORE_NODES[name]().spec)

    assert json.loads(json.dumps(description, allow_nan=False)) == description


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "x", [], {"a": [1, {"b": None}]}])
def test_plain_defaults_are_given_as_they_are(value: Any) -> None:
    assert default_of(value) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        (2**63, "9223372036854775808"),
        (b"x", "b'x'"),
        ({1: 2}, "{1: 2}"),
        ([b"x", 1], ["b'x'", 1]),
        ({"a": math.inf}, {"a": "inf"}),
        ((1, 2), [1, 2]),
    ],
)
def test_other_defaults_are_given_as_text(value: Any, text: Any) -> None:
    assert default_of(value) == text


def test_a_default_that_holds_itself_comes_to_an_end() -> None:
    looped: list[Any] = []
    looped.append(looped)

    assert "..." in json.dumps(default_of(looped))
