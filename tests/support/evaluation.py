"""A bench for the evaluator: node types in one line each, graphs in a short notation, demands that are awaited."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from graphport.contracts.node import NodeSpec, NodeType, PortSpec
from graphport.demand.evaluator import Evaluator
from graphport.graph.catalogue import Catalogue
from graphport.graph.digest import xxh3
from graphport.nodes import CORE_NODES
from graphport.testing.sink import Answer, RecordingSink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from graphport.contracts.sink import Target
    from graphport.demand.memo import Memo


# Loaded here, because the first use of a core node reads its file, and tests are not to block their loop.
_CORE_TYPES = [load() for load in CORE_NODES.values()]


def make_type(
    name: str,
    handler: Callable[..., Any],
    *,
    inputs: Iterable[str | PortSpec] = (),
    outputs: Iterable[str | PortSpec] = ("value",),
    execution: str | None = None,
    trusted: bool = False,
    **spec: Any,
) -> NodeType:
    """A node type of a handler `handler(inputs, ctx)`, which runs inline unless it is async or told otherwise."""
    kind = execution or ("async" if inspect.iscoroutinefunction(handler) else "inline")
    return NodeType(
        spec=NodeSpec(
            type=name,
            inputs=_ports(inputs),
            outputs=_ports(outputs),
            execution=kind,
            **spec,
        ),
        handler=handler,
        code_digest=xxh3(name.encode()),
        trusted=trusted,
    )


def _ports(ports: Iterable[str | PortSpec]) -> tuple[PortSpec, ...]:
    return tuple(PortSpec(name=port) if isinstance(port, str) else port for port in ports)


def many(name: str) -> PortSpec:
    """An input that takes any number of edges."""
    return PortSpec(name=name, multiple=True)


def streamed(name: str) -> PortSpec:
    """An output that is streamed."""
    return PortSpec(name=name, stream=True)


def graph(nodes: Mapping[str, str | tuple[str, dict[str, Any]]], *edges: str, **settings: Any) -> dict[str, Any]:
    """A graph of `id: type` or `id: (type, data)`, and edges like `a.value -> b.x`."""
    rows = []
    for node_id, kind in nodes.items():
        name, data = kind if isinstance(kind, tuple) else (kind, {})
        rows.append({"id": node_id, "type": name, "data": data})
    joined = []
    for edge in edges:
        source, _, target = edge.partition(" -> ")
        joined.append(
            {
                "source": source.split(".")[0],
                "source_handle": source.split(".")[1],
                "target": target.split(".")[0],
                "target_handle": target.split(".")[1],
            }
        )
    return {"nodes": rows, "edges": joined, "settings": settings}


class Bench:
    """An evaluator with a recording sink.

    Attributes:
        ran: ids of the nodes whose types were made by `counted`, in the order in which they began.
    """

    def __init__(self, types: Iterable[NodeType], **options: Any) -> None:
        catalogue = Catalogue()
        for node_type in (*_CORE_TYPES, *types):
            catalogue.register(node_type)
        self.sink = RecordingSink()
        self.evaluator = Evaluator(catalogue, self.sink, **options)
        self._demands = 0

    def open(self, loaded: dict[str, Any], session: int = 1) -> None:
        """Load a graph as a session."""
        self.evaluator.open(session, loaded)

    def start(self, node: Target, *, session: int = 1, **options: Any) -> int:
        """Demand a node, as a message from the pipe does; returns the demand's number."""
        self._demands += 1
        self.evaluator.demand(self._demands, session, node, **options)
        self.evaluator.advance()
        return self._demands

    async def demand(self, node: Target, **options: Any) -> Answer:
        """Demand a node and wait for its answer."""
        return await self.sink.answer(self.start(node, **options))

    async def outputs(self, node: Target, **options: Any) -> dict[str, Any]:
        """Demand a node that must complete."""
        answer = await self.demand(node, **options)
        assert answer.outputs is not None, answer.error
        return answer.outputs

    async def fails(self, node: Target, **options: Any) -> str:
        """Demand a node that must fail; returns the error's code."""
        answer = await self.demand(node, **options)
        assert answer.code is not None, f"it completed with {answer.outputs}"
        return answer.code


@asynccontextmanager
async def bench(*types: NodeType, memo: Memo | None = None, **options: Any) -> AsyncIterator[Bench]:
    """A bench with these node types beside the core ones; closed, and held to the sink's contract, at the end."""
    made = Bench(types, memo=memo, **options)
    try:
        yield made
    finally:
        await made.evaluator.close()
    assert not made.sink.breaches
    assert not made.evaluator.runs
    assert not made.evaluator.flights


class Calls(list[str]):
    """Ids of nodes in the order in which they began to run."""

    def inline(self, name: str, work: Callable[[dict[str, Any]], dict[str, Any]], **spec: Any) -> NodeType:
        """An inline node type that is written down here."""

        def run(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
            self.append(ctx.node_id)
            return work(inputs)

        return make_type(name, run, **spec)

    def source(self, name: str = "source", **spec: Any) -> NodeType:
        """A node that gives its data `x` as `value`."""
        return self.inline(name, lambda inputs: {"value": inputs["x"]}, inputs=["x"], **spec)

    def total(self, name: str = "total", **spec: Any) -> NodeType:
        """A node that adds what edges bring to `items`, and one."""
        return self.inline(name, lambda inputs: {"value": sum(inputs["items"]) + 1}, inputs=[many("items")], **spec)


class Door:
    """Where an async node waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self.entries = 0

    async def wait(self) -> None:
        """Called by the node."""
        self.entries += 1
        self.reached.set()
        await self.opened.wait()


async def turns(count: int = 5) -> None:
    """Let the loop make a few turns, where nothing says when it has made enough."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop make turns until something holds that no event tells; the test's time limit ends it."""
    for _ in itertools.count():
        if condition():
            return
        await asyncio.sleep(0)
