"""Graphport's evaluator with the graphs of `shapes`: nodes written with `@node` as a user's are, and a sink in memory.

Called by `evaluator` and `peers.on_graphport`.
"""

from __future__ import annotations

import asyncio
import gc
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from scripts.benchmarks import shapes
from scripts.benchmarks.shapes import Functions

from graphport.contracts.node import NodeType, PortSpec
from graphport.contracts.sink import PlainAnswers
from graphport.demand.evaluator import Evaluator
from graphport.graph.authoring import node, node_type_of
from graphport.graph.catalogue import Catalogue
from graphport.graph.plan import made

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scripts.benchmarks.shapes import Shape

    from graphport.contracts.sink import Target
    from graphport.core.errors import GraphportError

_MANY: Final = (PortSpec(name="values", type="integer", multiple=True),)

_inline = node(execution="inline")
for _function in (shapes.start, shapes.add_one, shapes.add):
    _inline(_function)
node(execution="inline", inputs=_MANY)(shapes.total)


@node
async def start_async(value: int = 1) -> int:
    return value


@node
async def add_one_async(value: int) -> int:
    return value + 1


@node
async def add_async(a: int, b: int) -> int:
    return a + b


@node(inputs=_MANY)
async def total_async(values: list[int]) -> int:
    return sum(values)


@node
async def start_waits(value: int = 1) -> int:
    await asyncio.sleep(0)
    return value


@node
async def add_one_waits(value: int) -> int:
    await asyncio.sleep(0)
    return value + 1


@node
async def add_waits(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


@node(inputs=_MANY)
async def total_waits(values: list[int]) -> int:
    await asyncio.sleep(0)
    return sum(values)


INLINE: Final = shapes.PLAIN
# Coroutines that never suspend, and coroutines that do.
ASYNC: Final = Functions(start_async, add_one_async, add_async, total_async)
WAITS: Final = Functions(start_waits, add_one_waits, add_waits, total_waits)


def graph_of(shape: Shape) -> dict[str, Any]:
    """The shape as a graph."""
    nodes = [{"id": name, "type": node_type_of(step.function).spec.type} for name, step in shape.steps.items()]
    edges = [
        {"source": source, "source_handle": "value", "target": name, "target_handle": port}
        for name, step in shape.steps.items()
        for source, port in zip(
            step.sources, step.parameters * len(step.sources) if step.collects else step.parameters, strict=True
        )
    ]
    return {"nodes": nodes, "edges": edges}


class Sink(PlainAnswers):
    """Takes one answer and the time it came, and keeps the events."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.outputs: dict[str, Any] = {}
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        self.ended = 0.0

    def complete(self, demand: int, node: Target, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        self.ended = perf_counter()
        self.outputs = outputs
        self.answered.set_result(None)

    def fail(self, demand: int, node: Target, error: GraphportError) -> None:
        self.answered.set_exception(error)

    def chunk(self, demand: int, node: str, port: str, chunk: Any) -> bool:
        raise AssertionError("nothing streams here")

    def event(self, demand: int, node: str, event: dict[str, Any]) -> None:
        self.events.append((demand, node, event))

    def behind(self, demand: int) -> bool:
        return False

    async def caught_up(self, demand: int) -> None:
        return


class Engine:
    """An evaluator with one session of a shape; opening it anew empties its memory. Made within a running loop."""

    def __init__(self, shape: Shape, *, events: bool = False) -> None:
        self._evaluator = Evaluator(catalogue_of(step.function for step in shape.steps.values()), Sink())
        self._target = shape.target
        self._graph = graph_of(shape)
        self._events = events
        self._count = 0

    def reopen(self) -> float:
        """Forget everything and load the graph; seconds for loading it."""
        if self._count in self._evaluator.sessions:
            self._evaluator.close_session(self._count)
        self._evaluator.memo.clear()
        self._count += 1
        gc.collect()
        began = perf_counter()
        self._evaluator.open(self._count, self._graph)
        return perf_counter() - began

    def plan(self) -> float:
        """Order the graph for its target, which else the first demand does; seconds."""
        graph = self._evaluator.sessions[self._count].graph
        began = perf_counter()
        made(graph.planning(graph.index[self._target]))
        return perf_counter() - began

    async def demand(self) -> tuple[float, Any]:
        """Demand the target; seconds until it is answered, and its value."""
        sink = Sink()
        self._evaluator.sink = sink
        began = perf_counter()
        self._evaluator.demand(self._count, self._count, self._target, events=self._events)
        self._evaluator.advance()
        await sink.answered
        return sink.ended - began, sink.outputs["value"]


def catalogue_of(functions: Iterable[Any]) -> Catalogue:
    """A catalogue of the node types of these functions."""
    types: dict[str, NodeType] = {}
    for function in functions:
        node_type = node_type_of(function)
        types[node_type.spec.type] = node_type
    catalogue = Catalogue()
    for node_type in types.values():
        catalogue.register(node_type)
    return catalogue
