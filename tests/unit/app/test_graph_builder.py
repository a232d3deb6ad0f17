"""The builder that runs: results, events, timings, and what listeners may do."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import graphport
from graphport import GraphBuilder, RunContext, node
from graphport.core.errors import GraphInvalid, GraphportError
from graphport.graph.draw import Timing

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.graph.builder_events import BuilderEvent


@node(effect="volatile")
def shout(text: str, times: int = 1) -> str:
    return " ".join([text.upper()] * times)


@node(outputs={"text": str}, stream=True)
async def spell(text: str, ctx: RunContext) -> dict[str, str]:
    for letter in text:
        await ctx.stream("text", letter)
    return {"text": text}


@node
def fail(text: str) -> str:
    raise ValueError(text)


def builder() -> GraphBuilder:
    return GraphBuilder([shout, spell, fail])


def test_what_is_built_runs() -> None:
    assert builder().text_input(text="hi").shout(times=2).text_output().run() == {"text": "HI HI"}


def test_a_run_takes_inputs_and_a_node() -> None:
    built = builder().text_input("a", text="hi").shout("s").text_output("o")

    assert built.run("s", {"a": {"text": "ho"}}) == {"value": "HO"}
    assert built.run("s") == {"value": "HI"}


def test_who_listens_is_told_how_a_run_goes() -> None:
    told: list[BuilderEvent] = []
    built = builder().text_input("a", text="hi").spell("s")
    for kind in ("start", "chunk", "node", "complete", "error"):
        built.on(kind, told.append)

    built.run()

    assert [(one.kind, one.node) for one in told if one.kind != "node"] == [
        ("start", "s"),
        *[("chunk", "s")] * sum(one.kind == "chunk" for one in told),
        ("complete", "s"),
    ]
    assert "".join(one.value[1] for one in told if one.kind == "chunk") == "hi"
    assert told[-1].value == {"text": "hi"}
    events = [(one.node, one.value["event"]) for one in told if one.kind == "node"]
    assert events == [
        (None, "planned"),
        ("a", "started"),
        ("a", "completed"),
        ("s", "started"),
        ("s", "completed"),
    ]


def test_a_run_leaves_its_timings_for_drawings() -> None:
    built = builder().text_input("a", text="hi").shout("s").text_output("o")

    built.run("s")

    assert {name: timing.state for name, timing in built.timings.items()} == {"a": "completed", "s": "completed"}
    assert all(isinstance(timing.us, int) for timing in built.timings.values())
    assert "completed" in built.to_mermaid(built.timings)
    assert 'label="o\\ntext-output"' in built.to_dot(built.timings)


def test_a_run_that_fails_raises_and_says_so() -> None:
    told: list[BuilderEvent] = []
    built = builder().text_input(text="no good").fail("f").text_output().on("error", told.append)

    with pytest.raises(GraphportError) as caught:
        built.run()

    assert (caught.value.code, caught.value.node_id, caught.value.exception_name) == ("node_failed", "f", "ValueError")
    assert [one.value for one in told] == [caught.value]
    assert built.timings["f"] == Timing("failed")


def test_a_listener_that_raises_is_heard_after_the_run() -> None:
    def angry(_event: BuilderEvent) -> None:
        raise RuntimeError("enough")

    built = builder().text_input(text="hi").on("node", angry)

    with pytest.raises(RuntimeError, match="enough"):
        built.run()
    assert built.off("node", angry).run() == {"text": "hi"}


@pytest.mark.parametrize(
    ("build", "code", "word"),
    [
        (lambda b: b, "unknown_node", "no node to run"),
        (lambda b: b.text_input("x").start().text_input("y"), "unknown_node", "ends in 2 nodes; say which one. x, y"),
        (lambda b: b.start().shout("s"), "invalid_graph", "'s'"),
    ],
)
def test_what_cannot_run_is_refused(build: Callable[[GraphBuilder], GraphBuilder], code: str, word: str) -> None:
    with pytest.raises(GraphportError, match=word) as caught:
        build(builder()).run()

    assert caught.value.code == code


def test_a_node_that_is_not_there_cannot_be_demanded() -> None:
    with pytest.raises(GraphportError, match="Did you mean 'answer'") as caught:
        builder().text_input("answer").run("answr")

    assert caught.value.code == "unknown_node"


def test_a_deadline_ends_a_run() -> None:
    @node(outputs={"value": str})
    async def never() -> str:
        import asyncio

        await asyncio.Event().wait()
        return ""

    with pytest.raises(GraphportError) as caught:
        GraphBuilder([never]).never().run(timeout_s=0.05)

    assert caught.value.code == "deadline_exceeded"


def test_modules_and_functions_give_node_types() -> None:
    built = GraphBuilder(["tests.support.awkward_nodes", shout])

    assert {"plain_type", "shout", "text_input"} <= set(dir(built))
    assert 'nodes=["tests.support.awkward_nodes", ' in built.to_python()


@pytest.mark.parametrize(
    ("nodes", "kind", "code"),
    [
        (["no_such_module"], GraphportError, "invalid_nodes"),
        ([shout, node(type="shout")(lambda text: text)], GraphportError, "duplicate_id"),
        ([len], TypeError, None),
    ],
)
def test_what_is_no_node_is_refused(nodes: list[Any], kind: type[Exception], code: str | None) -> None:
    with pytest.raises(kind) as caught:
        GraphBuilder(nodes)

    assert getattr(caught.value, "code", None) == code


def test_a_graph_with_faults_says_which() -> None:
    with pytest.raises(GraphInvalid) as caught:
        builder().text_input("a", text=5).graph()

    assert [fault["code"] for fault in (caught.value.details or {})["faults"]] == ["invalid_input"]


def test_the_builder_is_loaded_when_it_is_asked_for() -> None:
    code = "import sys, graphport; print('graphport.graph.builder' in sys.modules, 'graphport.app' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)

    assert answer.stdout.split() == ["False", "False"]
    assert graphport.GraphBuilder is GraphBuilder
