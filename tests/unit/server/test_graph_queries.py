"""The graph of a session, asked for: its shapes and drawings, those of large graphs, and what is refused."""

from __future__ import annotations

from typing import Any, Final

import pytest
from tests.support.drawings import read_dot, read_mermaid
from tests.support.evaluation import bench, graph

from graphport.core.errors import GraphportError
from graphport.graph.read import read_graph
from graphport.server.graph_queries import Later
from graphport.server.queries import answer
from graphport.wire.codec import pack, unpack

pytestmark = pytest.mark.anyio

SMALL: Final = graph({"a": ("text-input", {"text": "x"}), "o": "text-output"}, "a.text -> o.text", depth=3)


@pytest.mark.parametrize("form", [None, "json", "workglow-json", "dependency-json"])
async def test_a_graph_comes_back_in_every_shape_as_it_was_opened(form: str | None) -> None:
    async with bench() as b:
        b.open(SMALL)

        found = answer(b.evaluator, "graph", {"session": 1} | ({"format": form} if form else {}))

    assert read_graph(unpack(pack(found))).graph == read_graph(SMALL).graph
    if form in (None, "json"):
        assert found == SMALL


async def test_drawings_have_the_timings_they_are_given() -> None:
    timings = {"a": {"state": "cached"}, "o": {"state": "completed", "us": 7}, "gone": {"state": "failed", "us": None}}
    async with bench() as b:
        b.open(SMALL)

        mermaid = answer(b.evaluator, "mermaid", {"session": 1, "timings": timings})
        dot = answer(b.evaluator, "dot", {"session": 1, "timings": timings})

    assert read_mermaid(mermaid).edges == read_dot(dot).edges == [(0, 1)]
    for text in (mermaid, dot):
        assert "completed, 7 µs" in text


@pytest.mark.parametrize("what", ["graph", "mermaid", "dot"])
async def test_the_answer_of_a_large_graph_is_made_later(what: str) -> None:
    large = graph({f"n{number}": "text-input" for number in range(1_000)})
    async with bench() as b:
        b.open(large)

        found = answer(b.evaluator, what, {"session": 1})

    assert isinstance(found, Later)
    name, req, made = unpack(found.reply(5))
    assert (name, req) == ("reply", 5)
    if what == "graph":
        assert made == {"nodes": large["nodes"], "edges": []}
    else:
        assert len({"mermaid": read_mermaid, "dot": read_dot}[what](made).nodes) == 1_000


async def test_an_answer_that_is_too_large_is_refused() -> None:
    with pytest.raises(GraphportError) as caught:
        Later(lambda: "x" * 2**28).reply(1)

    assert caught.value.code == "too_large"


@pytest.mark.parametrize(
    ("what", "args", "code"),
    [
        ("graph", {}, "bad_message"),
        ("graph", {"session": "1"}, "bad_message"),
        ("graph", {"session": True}, "bad_message"),
        ("graph", {"session": 2}, "unknown_session"),
        ("graph", {"session": 1, "format": "yaml"}, "bad_message"),
        ("graph", {"session": 1, "format": ["json"]}, "bad_message"),
        ("graph", {"session": 1, "timings": {}}, "bad_message"),
        ("mermaid", {"session": 1, "format": "json"}, "bad_message"),
        ("mermaid", {"session": 2}, "unknown_session"),
        ("mermaid", {"session": 1, "timings": [1]}, "bad_message"),
        ("mermaid", {"session": 1, "timings": {"a": 5}}, "bad_message"),
        ("mermaid", {"session": 1, "timings": {5: {"state": "cached"}}}, "bad_message"),
        ("dot", {"session": 1, "timings": {"a": {"state": "asleep"}}}, "bad_message"),
        ("dot", {"session": 1, "timings": {"a": {"state": ["cached"]}}}, "bad_message"),
        ("dot", {"session": 1, "timings": {"a": {"state": "cached", "us": 1.5}}}, "bad_message"),
    ],
)
async def test_what_cannot_be_answered_is_refused(what: str, args: dict[str, Any], code: str) -> None:
    async with bench() as b:
        b.open(SMALL)
        with pytest.raises(GraphportError) as caught:
            answer(b.evaluator, what, args)

    assert caught.value.code == code
