from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.evaluation import make_type

from graphport.app.engine import Composition
from graphport.app.local_run import Chunk, LocalDemand, LocalGraph, Progress, run_demand
from graphport.contracts.node import PortSpec
from graphport.core.errors import GraphInvalid
from graphport.graph.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphport.contracts.run_context import RunContext

STREAMED = (PortSpec(name="log", type="string"), PortSpec(name="text", type="string", stream=True))


async def say(inputs: Mapping[str, Any], ctx: RunContext) -> dict[str, Any]:
    """Streams what it is given, letter by letter."""
    for letter in inputs["text"] or "":
        await ctx.stream("text", letter)
    return {"log": "", "text": inputs["text"]}


def wait(inputs: Mapping[str, Any], _ctx: Any) -> dict[str, Any]:
    """Blocks a thread."""
    time.sleep(inputs["text"])
    return {"value": "waited"}


class Local(Composition):
    """A composition of a few types."""

    def __init__(self) -> None:
        super().__init__(())
        self.stopped = False
        self._catalogue = Catalogue()
        for node_type in (
            make_type("say", say, inputs=["text"], outputs=STREAMED),
            make_type("wait", wait, inputs=["text"], execution="thread", effect="volatile"),
            make_type("join", lambda inputs, _ctx: {"value": inputs["a"]}, inputs=["a", "b"]),
        ):
            self._catalogue.register(node_type)

    async def stop(self) -> None:
        """Note that it was called."""
        self.stopped = True


def graph_of(nodes: Mapping[str, tuple[str, Any]], *edges: tuple[str, str]) -> LocalGraph:
    """Nodes `id: (type, text)` and edges `(a.port, b.port)`."""
    raw = {
        "nodes": [{"id": key, "type": kind, "data": {"text": text}} for key, (kind, text) in nodes.items()],
        "edges": [
            dict(zip(("source", "source_handle", "target", "target_handle"), ".".join(ends).split("."), strict=True))
            for ends in edges
        ],
    }
    return LocalGraph(raw, Local().catalogue)


def run(graph: LocalGraph, node: str, **options: Any) -> tuple[Any, list[Chunk | Progress]]:
    """The ending, and what was shown before."""
    shown: list[Chunk | Progress] = []
    ending = run_demand(Local(), graph, LocalDemand(node=node, **options), shown.append)
    return ending, shown


def test_the_answer_comes_with_its_meta() -> None:
    ending, _ = run(graph_of({"a": ("say", "hi")}), "a")

    assert (ending.node, ending.outputs, ending.error) == ("a", {"log": "", "text": "hi"}, None)
    assert ending.meta["ran"] == 1


def test_chunks_are_shown_in_order() -> None:
    _, shown = run(graph_of({"a": ("say", "hi")}), "a")

    assert [event for event in shown if isinstance(event, Chunk)] == [Chunk("a", "text", "h"), Chunk("a", "text", "i")]


def test_chunks_are_left_out_where_they_are_not_wanted() -> None:
    _, shown = run(graph_of({"a": ("say", "hi")}), "a", stream=False)

    assert not [event for event in shown if isinstance(event, Chunk)]


def test_inputs_are_given_on() -> None:
    ending, _ = run(graph_of({"a": ("say", "hi")}), "a", inputs={"a": {"text": "ho"}})

    assert ending.outputs["text"] == "ho"


def test_progress_names_what_is_at_work() -> None:
    graph = graph_of({"a": ("say", 0.25), "w": ("wait", 0.25)})

    _, shown = run(graph, "w")

    assert Progress(settled=0, total=1, running=(("w", ""),)) in shown


def test_a_deadline_is_an_ending_too() -> None:
    ending, _ = run(graph_of({"w": ("wait", 0.5)}), "w", deadline_ms=20)

    assert (ending.outputs, ending.error.code) == (None, "deadline_exceeded")


def test_ctrl_c_cancels_the_demand() -> None:
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    before = signal.getsignal(signal.SIGINT)

    ending, _ = run(graph_of({"w": ("wait", 1)}), "w")

    assert ending.error.code == "cancelled"
    assert signal.getsignal(signal.SIGINT) is before


def test_services_are_stopped_whatever_happens() -> None:
    local = Local()

    run_demand(local, graph_of({"a": ("say", "hi")}), LocalDemand(node="none"), lambda _event: None)

    assert local.stopped


def test_a_show_that_cannot_write_ends_the_run_and_is_raised() -> None:
    shown = 0

    def show(event: Chunk | Progress) -> None:
        nonlocal shown
        if isinstance(event, Chunk):
            shown += 1
            raise BrokenPipeError

    local = Local()
    with pytest.raises(BrokenPipeError):
        run_demand(local, graph_of({"a": ("say", "hi"), "w": ("wait", 0)}), LocalDemand(node="a"), show)

    assert (shown, local.stopped) == (1, True)


def test_it_runs_outside_the_main_thread_too() -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(run(graph_of({"a": ("say", "x")}), "a")[0].outputs["text"]))

    thread.start()
    thread.join()

    assert found == ["x"]


def test_faults_are_raised() -> None:
    with pytest.raises(GraphInvalid):
        graph_of({"a": ("no-such-type", "")})


def test_what_is_known_of_a_graph() -> None:
    graph = graph_of({"a": ("say", ""), "j": ("join", ""), "b": ("say", "")}, ("a.text", "j.a"))

    assert list(graph.sinks) == ["j", "b"]
    assert graph.node_ids() == ["a", "j", "b"]
    assert graph.spec("none") is None
    spec = graph.spec("j")
    assert spec is not None
    assert spec.type == "join"


def test_voices_are_the_nearest_streams() -> None:
    nodes = {"far": ("say", ""), "one": ("say", ""), "two": ("say", ""), "j": ("join", "")}
    graph = graph_of(nodes, ("far.text", "one.text"), ("one.text", "j.a"), ("two.text", "j.b"))

    assert graph.voices("j") == {("one", "text"), ("two", "text")}
    assert graph.voices("one") == {("one", "text")}
    assert graph.voices("far") == {("far", "text")}


def test_progress_counts_the_nodes_of_the_graph_and_not_those_within_them() -> None:
    inside = {
        "nodes": [
            {"id": "t", "type": "text-input", "data": {"text": "x"}},
            {"id": "y", "type": "graph-output"},
        ],
        "edges": [{"source": "t", "source_handle": "text", "target": "y", "target_handle": "value"}],
    }
    raw = {"nodes": [{"id": "c", "type": "graph", "data": {"graph": inside}}], "edges": []}
    composition = Composition([])
    told: list[Any] = []

    ending = run_demand(composition, LocalGraph(raw, composition.catalogue), LocalDemand(node="c"), told.append)

    assert ending.outputs == {"y": "x"}
    assert all(each.settled <= each.total == 1 for each in told if isinstance(each, Progress) and each.total)
