"""Graphs that nodes evaluate: a run within a run, in the same evaluator, with the same memo and flights.

A sub-run belongs to the flight of the node that asked for it, and takes its turns in the session that began that
flight. What it streams and tells goes to every demand that waits for the flight, under the ids of the nodes on the way,
with a slash between each two. The ways outwards are walked and not called, so ten thousand graphs may lie within one
another. Must not settle nodes of other runs. Made by `context`.
"""

from __future__ import annotations

import asyncio
import copy
from collections import OrderedDict
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.sink import PlainAnswers
from graphport.core.errors import DemandStopped, GraphportError, LookupFailed, NodeError
from graphport.demand.run import Run
from graphport.graph.compile import compiled
from graphport.graph.definitions import Definition, definitions_of
from graphport.graph.digest import digest, xxh3
from graphport.graph.validate import load_graph

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphport.contracts.sink import Target
    from graphport.demand.evaluator import Evaluator
    from graphport.demand.flight import Flight
    from graphport.demand.session import Session
    from graphport.graph.catalogue import Catalogue
    from graphport.graph.compile import CompiledGraph, CompiledNode

# Demands are numbered from 0; a sub-run is none of them.
SUB_RUN: Final = -1
# Nodes and edges that are compiled in less than others may be kept waiting.
_SMALL: Final = 200
# Names from outside inwards, linked: a path is put together where somebody wants it, not at each step.
Way = tuple[str, Any]
# On so many ways at most what is told passes through one sub-run.
_WAYS_MOST: Final = 64
# Graphs that nodes bring themselves, of which the engine remembers what it found out.
_BROUGHT_MOST: Final = 64


class SubRun(Run):
    """The evaluation of some nodes of an inner graph.

    Args:
        evaluator: of the outer run.
        session: where it takes its turns.
        graph: the inner graph.
        targets: what is evaluated, one node or several.
        inputs: node id to port to value.
        seed: what the seeds of its nodes are drawn from; None for the session's own.
        out: whose answer it is.
        events: whether somebody wants its events.
    """

    __slots__ = ("_seed",)

    _own_seeds = True  # many nodes, of many sessions, may hold the graph

    def __init__(
        self,
        evaluator: Evaluator,
        session: Session,
        graph: CompiledGraph,
        targets: tuple[int, ...],
        *,
        inputs: Mapping[str, dict[str, Any]],
        seed: int | None,
        out: Outward,
        events: bool,
    ) -> None:
        target: int | tuple[int, ...] = targets[0] if len(targets) == 1 else targets
        super().__init__(
            evaluator,
            session,
            target,
            SUB_RUN,
            "",
            inputs=inputs,
            stream=True,
            fresh=False,
            events=events,
            received=perf_counter(),
            sink=out,
        )
        self.graph = graph
        self._seed = seed

    def seed_of(self, node_id: str) -> int:
        """The seed of a node that was given none."""
        if self._seed is None:
            return self.session.seed(f"{self.sink.label}/{node_id}")  # type: ignore[attr-defined]
        return int.from_bytes(xxh3(f"{self._seed}\0{node_id}".encode())[:4], "big") & 0x7FFFFFFF

    def _begin(self, place: int, node: CompiledNode, inputs: dict[str, Any]) -> Any:
        flight = self._evaluator.flights.get(self.keys[place])  # type: ignore[arg-type]
        if flight is not None and self.sink.is_for(flight):  # type: ignore[attr-defined]
            text = f"node {node.id!r} evaluates a graph in which it waits for its own result"
            raise NodeError(text, code="cycle", node_id=node.id)
        return super()._begin(place, node, inputs)

    def begin(self) -> None:
        """Start it. Afterwards it is answered, or waits for its turn or for flights."""
        # Others may compute what it needs, and it what others need.
        self._evaluator.started += 1
        self.start(None)
        self._alone = -1
        if self.can_go_on:
            self._evaluator.make_ready(self)


class Outward(PlainAnswers):
    """The sink of a sub-run: hands its answer to the node, and the rest to the demands that wait for the node.

    Args:
        flight: the node's.
        label: what stands in paths between the node and its inner nodes, such as the number of an item; or "".
        done: set when there is an answer.

    Attributes:
        outputs: of the sub-run, or None.
        error: why there are none.
    """

    def __init__(self, flight: Flight, label: str, done: asyncio.Future[None]) -> None:
        self.flight = flight
        self.done = done
        self.outputs: dict[str, Any] | None = None
        self.error: GraphportError | None = None
        self.label = label

    def complete(self, demand: int, node: Target, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        """See `DemandSink`."""
        self.outputs = outputs
        if not self.done.done():
            self.done.set_result(None)

    def fail(self, demand: int, node: Target, error: GraphportError) -> None:
        """See `DemandSink`."""
        self.error = error
        if not self.done.done():
            self.done.set_result(None)

    def chunk(self, demand: int, node: str, port: str, chunk: Any) -> bool:
        """See `DemandSink`."""
        behind = False
        for flight, way in self._ways(node):
            if flight.store:
                flight.remember_inner(_path(way), port, chunk)
            for run, place in _listening(flight):
                path = _path((run.plan.nodes[place].id, way))
                if run.hears(place, path):
                    behind |= run.sink.chunk(run.demand, path, port, chunk)
        return behind

    def replay(self, demand: int, node: str, chunks: Sequence[tuple[str, Any]]) -> None:
        """See `DemandSink`."""
        for flight, way in self._ways(node):
            if flight.store:
                path = _path(way)
                for port, chunk in chunks:
                    flight.remember_inner(path, port, chunk)
            for run, place in _listening(flight):
                path = _path((run.plan.nodes[place].id, way))
                if run.hears(place, path):
                    run.sink.replay(run.demand, path, chunks)

    def event(self, demand: int, node: str, event: dict[str, Any]) -> None:
        """See `DemandSink`. How many nodes an inner graph has is told nobody."""
        if not node:
            return
        for flight, way in self._ways(node):
            for run, place in _listening(flight):
                if run.wants_events:
                    run.tell(_path((run.plan.nodes[place].id, way)), event)

    def behind(self, demand: int) -> bool:
        """See `DemandSink`."""
        return self._slow() is not None

    async def caught_up(self, demand: int) -> None:
        """See `DemandSink`."""
        run = self._slow()
        if run is not None:
            await run.sink.caught_up(run.demand)

    def _ways(self, node: str) -> Iterator[tuple[Flight, Way]]:
        """All flights on the ways outwards, each with the way from there to an inner node.

        Thirty graphs of which each holds the one before twice give a billion ways: of many, the first are told.
        """
        waiting: list[tuple[Outward, Way]] = [(self, (node, None))]
        passed: dict[int, int] = {}
        while waiting:
            out, way = waiting.pop()
            if out.label:
                way = (out.label, way)
            yield out.flight, way
            for run, place in out.flight.waiters:
                if run.sink.__class__ is not Outward:
                    continue
                times = passed[id(run.sink)] = passed.get(id(run.sink), 0) + 1
                if times <= _WAYS_MOST:
                    waiting.append((run.sink, (run.plan.nodes[place].id, way)))

    def is_for(self, flight: Flight) -> bool:
        """Whether the sub-run is for that execution, however far out."""
        seen = {id(self.flight)}
        waiting = [self.flight]
        while waiting:
            one = waiting.pop()
            if one is flight:
                return True
            for run, _ in one.waiters:
                if run.sink.__class__ is Outward and id(run.sink.flight) not in seen:
                    seen.add(id(run.sink.flight))
                    waiting.append(run.sink.flight)
        return False

    def _slow(self) -> Run | None:
        for flight, _ in self._ways(""):
            for run, _ in _listening(flight):
                if run.streams and run.sink.behind(run.demand):
                    return run
        return None


def _listening(flight: Flight) -> list[tuple[Run, int]]:
    """The demands that wait for a flight themselves, not through a node that holds it."""
    return [(run, place) for run, place in flight.waiters if run.sink.__class__ is not Outward and not run.closed]


def _path(way: Way) -> str:
    names: list[str] = []
    at: Way | None = way
    while at is not None:
        name, at = at
        names.append(name)
    return "/".join(names)


def within(error: GraphportError, node_id: str, label: str) -> GraphportError:
    """The error of an inner node as that of the node that holds its graph; others may have the same error."""
    path = "/".join(filter(None, (node_id, label, error.node_id)))
    raised = copy.copy(error)
    raised.node_id = path
    return raised


async def evaluate(
    evaluator: Evaluator,
    flight: Flight | None,
    graph: Definition,
    inputs: Mapping[str, Any],
    *,
    targets: Sequence[str] | None,
    label: str,
    seed: int | None,
) -> dict[str, Any]:
    """See `contracts.run_context.RunContext.evaluate`; `flight` is that of the node that asks."""
    compiled_graph = graph.compiled or await _compiled(evaluator, graph)
    if flight is None or not flight.waiters:
        raise DemandStopped("nobody waits for this node any more", code="cancelled")
    given = {_input_node(graph, name): {"value": value} for name, value in inputs.items()}
    wanted = _targets(graph, compiled_graph, targets)
    out = Outward(flight, label, evaluator.loop.create_future())
    run = SubRun(
        evaluator,
        flight.waiters[0][0].session,
        compiled_graph,
        wanted,
        inputs=given,
        seed=seed,
        out=out,
        events=any(waiter.wants_events for waiter, _ in flight.waiters),
    )
    run.begin()
    try:
        await out.done
    finally:
        if not run.closed:
            run.close()
    if out.error is not None:
        raise within(out.error, flight.node.id, label)
    outputs: dict[str, Any] = out.outputs or {}
    if len(wanted) == 1:
        outputs = {compiled_graph.nodes[wanted[0]].id: outputs}
    if targets is not None:
        return outputs
    found = {name: outputs[node_id] for name, node_id in graph.output_nodes.items()}
    return {name: values["value"] for name, values in found.items() if values}


def _input_node(graph: Definition, name: str) -> str:
    node_id = graph.input_nodes.get(name)
    if node_id is None:
        known = ", ".join(graph.input_nodes) or "none"
        raise LookupFailed(f"the inner graph has no input {name!r}; it has: {known}", code="unknown_node")
    return node_id


def _targets(graph: Definition, compiled_graph: CompiledGraph, targets: Sequence[str] | None) -> tuple[int, ...]:
    """Where in the graph is what is wanted. A graph without outputs is evaluated for what it does: all its sinks."""
    ids: Iterable[str] = targets if targets is not None else graph.output_nodes.values() or compiled_graph.sinks
    found = []
    for node_id in dict.fromkeys(ids):
        place = compiled_graph.index.get(node_id)
        if place is None:
            raise LookupFailed(f"the inner graph has no node {node_id!r}", code="unknown_node")
        found.append(place)
    return tuple(found)


async def _compiled(evaluator: Evaluator, graph: Definition) -> CompiledGraph:
    """The graph compiled: at once if it is small, else on a thread, so that nobody is held up."""
    if len(graph.graph.nodes) + len(graph.graph.edges) <= _SMALL:
        return compiled(graph, evaluator.stats, evaluator.hasher)
    if graph.compiling is None:
        graph.compiling = evaluator.loop.run_in_executor(None, compiled, graph, evaluator.stats, evaluator.hasher)
    made: CompiledGraph = await asyncio.shield(graph.compiling)
    return made


class BroughtGraphs:
    """Graphs that nodes bring themselves, as plain data: the last ones are remembered.

    Args:
        catalogue: the node types they may use.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known: OrderedDict[bytes, Definition] = OrderedDict()

    def get(self, raw: Mapping[str, Any]) -> Definition:
        """Read and check a graph.

        Raises:
            GraphInvalid: with every fault found.
        """
        key = digest(raw)
        found = None if key is None else self._known.pop(key, None)
        if found is None:
            found = definitions_of(load_graph(raw, self._catalogue), self._catalogue).root
        if key is not None:
            self._known[key] = found
            if len(self._known) > _BROUGHT_MOST:
                self._known.popitem(last=False)
        return found
