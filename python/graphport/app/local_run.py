"""Runs one demand in this process: event loop, evaluator, services and a sink, from beginning to end.

Blocks the calling thread until the demand is answered. Must not print: what happens on the way goes to a callback.
Called by `cli`, for people who try a graph without the BEAM.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from graphport.app.engine import leave
from graphport.contracts.sink import PlainAnswers
from graphport.server.loop import new_loop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphport.app.engine import Composition
    from graphport.contracts.node import NodeSpec
    from graphport.contracts.sink import DemandSink, Target
    from graphport.core.errors import GraphportError
    from graphport.graph.catalogue import Catalogue
    from graphport.graph.compile import CompiledGraph

INTERRUPTED_STATUS: Final = 130
"""Exit status of a process that was ended by Ctrl-C."""

_DEMAND: Final = 1
_LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed output."""

    node: str
    port: str
    value: Any


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a demand is.

    Attributes:
        settled: nodes whose outputs are known.
        total: nodes that the demanded node may need; those behind a branch not taken never settle.
        running: nodes under way, each with what it says of itself, such as `40 %`, or "".
    """

    settled: int
    total: int
    running: tuple[tuple[str, str], ...]


Show = Callable[[Chunk | Progress], None]
"""Takes what happens. Called on the loop's thread; an `OSError` it raises cancels the demand and is raised again."""

Watch = Callable[[str, dict[str, Any]], None]
"""Takes each event of a node: its id, and the event as it goes over the wire. On the loop's thread; must not raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDemand:
    """What is asked.

    Attributes:
        node: the demanded node.
        inputs: node to port to value.
        deadline_ms: milliseconds after which the demand fails, or None.
        stream: whether chunks are wanted.
        fresh: other seeds than those that every run draws.
        cache: the option `cache` of the engine, see `app.cache`; None for one that ends with the run.
    """

    node: str
    inputs: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    deadline_ms: int | None = None
    stream: bool = True
    fresh: bool = False
    cache: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A demand's last message: outputs, or an error."""

    node: str
    outputs: dict[str, Any] | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    error: GraphportError | None = None


class LocalGraph:
    """A graph without faults, and what can be said of it before it runs.

    Attributes:
        raw: the graph as it was read from its file.
        sinks: ids of the nodes that nothing reads.
    """

    def __init__(self, raw: Any, catalogue: Catalogue) -> None:
        """Check the graph.

        Raises:
            GraphInvalid: with every fault found.
        """
        from graphport.graph.compile import CompiledGraph
        from graphport.graph.validate import load_graph

        self.raw = raw
        self._compiled: CompiledGraph = CompiledGraph(load_graph(raw, catalogue), catalogue)
        self.sinks: Sequence[str] = self._compiled.sinks

    def node_ids(self) -> list[str]:
        """The ids of all nodes, in the order of the graph."""
        return list(self._compiled.index)

    def spec(self, node_id: str) -> NodeSpec | None:
        """The spec of a node, or None if the graph has no such node."""
        index = self._compiled.index.get(node_id)
        return None if index is None else self._compiled.nodes[index].type.spec

    def voices(self, target: str) -> frozenset[tuple[str, str]]:
        """The streamed outputs nearest to a node, as (node, port): what is heard of it while it is evaluated."""
        found: set[tuple[str, str]] = set()
        start = self._compiled.index[target]
        seen, waiting = {start}, [start]
        while waiting:
            node = self._compiled.nodes[waiting.pop()]
            port = next((port.name for port in node.type.spec.outputs if port.stream), None)
            if port is not None:
                found.add((node.id, port))
                continue
            sources = {edge[0] for edge in node.edges} - seen
            seen |= sources
            waiting.extend(sources)
        return frozenset(found)


def run_demand(
    composition: Composition, graph: LocalGraph, asked: LocalDemand, show: Show, watch: Watch | None = None
) -> Ending:
    """Demand a node and wait for the answer.

    Ctrl-C cancels the demand, which is then answered `cancelled`; a second one ends the process at once.
    """
    # Not `asyncio.Runner`, which would wait for nodes that do not let themselves be cancelled.
    loop = new_loop()
    try:
        return loop.run_until_complete(_run(composition, graph, asked, show, watch))
    finally:
        loop.close()


async def _run(
    composition: Composition, graph: LocalGraph, asked: LocalDemand, show: Show, watch: Watch | None
) -> Ending:
    loop = asyncio.get_running_loop()
    sink = _CallbackSink(loop.create_future(), show, watch, frozenset(graph.node_ids()))
    evaluator = composition.start(sink, {"cache": asked.cache})
    # Seeds are drawn from the session's number: the same for every run, so that a run can be repeated.
    session = 1 + secrets.randbits(31) if asked.fresh else 1
    sink.cancel = lambda: evaluator.cancel(_DEMAND)
    try:
        evaluator.open(session, graph.raw)
        with _interrupts(lambda: loop.call_soon_threadsafe(sink.cancel)):
            evaluator.demand(
                _DEMAND,
                session,
                asked.node,
                inputs=asked.inputs,
                deadline_ms=asked.deadline_ms,
                stream=asked.stream,
                fresh=asked.fresh,
                events=True,
            )
            evaluator.advance()
            await _watch(sink)
    finally:
        await evaluator.close()
        await composition.stop()
    if sink.broken is not None:
        raise sink.broken
    return sink.ending.result()


async def _watch(sink: _CallbackSink) -> None:
    """Report progress until the demand is answered: not each event, of which there may be thousands in a moment."""
    last: Progress | None = None
    while not sink.ending.done():
        now = sink.progress()
        if now != last:
            last = now
            sink.tell(now)
        await asyncio.wait([sink.ending], timeout=_LOOK_SECONDS)


@contextlib.contextmanager
def _interrupts(cancel: Callable[[], object]) -> Iterator[None]:
    """Have Ctrl-C call `cancel`, and end the process when it comes again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = False

    def interrupted(*_: object) -> None:
        nonlocal pressed
        if pressed:
            leave(INTERRUPTED_STATUS)
        pressed = True
        cancel()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _CallbackSink(PlainAnswers):
    """Gives chunks to a callback and the last message to a future, and adds up the events."""

    def __init__(
        self, ending: asyncio.Future[Ending], show: Show, watch: Watch | None, counted: frozenset[str]
    ) -> None:
        self.ending = ending
        self.broken: OSError | None = None
        self.cancel: Callable[[], None] = lambda: None
        self._show = show
        self._watch = watch
        self._counted = counted
        self._settled = self._total = 0
        self._running: dict[str, str] = {}

    def complete(self, demand: int, node: Target, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        self.ending.set_result(Ending(node=str(node), outputs=outputs, meta=meta))

    def fail(self, demand: int, node: Target, error: GraphportError) -> None:
        self.ending.set_result(Ending(node=str(node), error=error))

    def event(self, demand: int, node: str, event: dict[str, Any]) -> None:
        kind = event["event"]
        if self._watch is not None:
            self._watch(node, event)
        if kind == "planned":
            self._total = event["nodes"]
        elif node not in self._counted:
            return  # of a graph within a node: `planned` does not count it
        elif kind == "started":
            self._running[node] = ""
        elif kind == "progress":
            share = "" if event["fraction"] is None else f"{event['fraction']:.0%}"
            self._running[node] = " ".join(filter(None, (share, event["text"])))
        else:
            self._running.pop(node, None)
            self._settled += kind != "failed"

    def progress(self) -> Progress:
        """What the events add up to."""
        return Progress(settled=self._settled, total=self._total, running=tuple(self._running.items()))

    def chunk(self, demand: int, node: str, port: str, chunk: Any) -> bool:
        self.tell(Chunk(node, port, chunk))
        return False

    def tell(self, event: Chunk | Progress) -> None:
        """Call the callback; if nobody listens any more, cancel."""
        if self.broken is not None:
            return
        try:
            self._show(event)
        except OSError as error:
            self.broken = error
            # Later: the evaluator may be in the middle of the node that sent this.
            asyncio.get_running_loop().call_soon(lambda: self.cancel())

    def behind(self, demand: int) -> bool:
        return False

    async def caught_up(self, demand: int) -> None:
        return


if TYPE_CHECKING:

    def _is_sink(sink: _CallbackSink) -> DemandSink:
        return sink
