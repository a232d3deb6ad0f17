"""Questions about an engine: answered as plain data, or refused with a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.evaluation import bench, make_type

from graphport.core.errors import GraphportError
from graphport.nodes import CORE_NODES
from graphport.server.queries import QUERIES, answer
from graphport.wire.codec import pack, unpack

pytestmark = pytest.mark.anyio


def test_these_are_the_questions() -> None:
    assert list(QUERIES) == ["nodes", "health", "metrics", "graph", "mermaid", "dot", "plan", "why", "trace"]


async def test_nodes_lists_all_types_by_name_as_data_that_travels() -> None:
    async with bench(make_type("mine", lambda *_: {"value": 1})) as b:
        rows = answer(b.evaluator, "nodes", {})

        assert [row["type"] for row in rows] == sorted([*CORE_NODES, "mine"])
        assert unpack(pack(rows)) == rows


async def test_nodes_of_a_type_gives_that_one() -> None:
    async with bench() as b:
        (row,) = answer(b.evaluator, "nodes", {"type": "text-input"})

        assert row["type"] == "text-input"
        assert [port["name"] for port in row["outputs"]] == ["text"]


@pytest.mark.parametrize(
    ("what", "args", "code", "word"),
    [
        ("nodes", {"type": "text-inptu"}, "unknown_type", "text-input"),
        ("nodes", {"type": 5}, "bad_message", "type"),
        ("nodes", {"kind": "x"}, "bad_message", "type"),
        ("health", {"of": "me"}, "bad_message", "health"),
        ("metrics", {"reset": 1}, "bad_message", "reset"),
        ("plan", {"session": 1}, "bad_message", "node"),
        ("plan", {"session": 1, "node": "a", "limit": 10_001}, "bad_message", "limit"),
        ("plan", {"session": 1, "node": "a", "inputs": {"a": 1}}, "bad_message", "inputs"),
        ("plan", {"session": 7, "node": "a"}, "unknown_session", "7"),
        ("why", {"session": True, "node": "a"}, "bad_message", "session"),
        ("why", {"session": 1, "node": "a", "fresh": True}, "bad_message", "inputs"),
        ("trace", {"demand": "last"}, "bad_message", "demand"),
        ("trace", {"format": "svg"}, "bad_message", "chrome"),
        ("weather", {}, "bad_message", "nodes"),
    ],
)
async def test_what_cannot_be_answered_is_refused(what: str, args: dict[str, Any], code: str, word: str) -> None:
    async with bench() as b:
        with pytest.raises(GraphportError) as caught:
            answer(b.evaluator, what, args)

    assert caught.value.code == code
    assert word in caught.value.message
