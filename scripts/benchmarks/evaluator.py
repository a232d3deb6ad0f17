"""What the evaluator costs per node, against a bare loop over `graphlib.TopologicalSorter` that calls the functions.

The bare loop orders the graph again in each run, calls each function with its inputs and stores the result. The
evaluator does that with keys, cache, metrics and a sink in memory, in the same process and rounds. Prints rows for
`table.py`, and what it is doing on standard error. Called by `scripts/bench`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from graphport.contracts.node import NodeType, PortSpec
from graphport.contracts.sink import PlainAnswers
from graphport.demand.evaluator import Evaluator
from graphport.graph.authoring import node, node_type_of
from graphport.graph.catalogue import Catalogue
from graphport.graph.plan import made

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.contracts.sink import Target
    from graphport.core.errors import GraphportError

_ROUNDS: Final = 21
_LONG_CHAIN: Final = 100_000
_MANY: Final = (PortSpec(name="values", type="integer", multiple=True),)

Function: TypeAlias = "Callable[..., Any]"


# Each node type three times: plain, as a coroutine, and as a coroutine that suspends.


@node(execution="inline")
def start(value: int = 1) -> int:
    return value


@node(execution="inline")
def add_one(value: int) -> int:
    return value + 1


@node(execution="inline")
def add(a: int, b: int) -> int:
    return a + b


@node(execution="inline", inputs=_MANY)
def total(values: list[int]) -> int:
    return sum(values)


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


@dataclass(frozen=True)
class Kind:
    """The node functions of one way to write them."""

    start: Function
    add_one: Function
    add: Function
    total: Function

    def types(self) -> list[NodeType]:
        return [node_type_of(one) for one in (self.start, self.add_one, self.add, self.total)]


PLAIN: Final = Kind(start, add_one, add, total)
ASYNC: Final = Kind(start_async, add_one_async, add_async, total_async)
WAITS: Final = Kind(start_waits, add_one_waits, add_waits, total_waits)


@dataclass
class Shape:
    """One graph: for the bare loop as functions and dependencies, for the evaluator as nodes and edges."""

    functions: dict[str, Function] = field(default_factory=dict)
    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)
    collects: set[str] = field(default_factory=set)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    edges: list[dict[str, Any]] = field(default_factory=list)
    target: str = ""

    def put(self, name: str, function: Function, *sources: str, ports: tuple[str, ...] = ()) -> None:
        spec = node_type_of(function).spec
        self.functions[name], self.sources[name], self.target = function, sources, name
        if any(port.multiple for port in spec.inputs):
            self.collects.add(name)
            ports = ("values",) * len(sources)
        self.nodes.append({"id": name, "type": spec.type})
        for source, port in zip(sources, ports, strict=True):
            self.edges.append({"source": source, "source_handle": "value", "target": name, "target_handle": port})

    @property
    def graph(self) -> dict[str, Any]:
        return {"nodes": self.nodes, "edges": self.edges}


def chain(kind: Kind, length: int = 1_000) -> Shape:
    shape = Shape()
    shape.put("n0", kind.start)
    for number in range(1, length):
        shape.put(f"n{number}", kind.add_one, f"n{number - 1}", ports=("value",))
    return shape


def layered(kind: Kind, layers: int = 50, width: int = 20) -> Shape:
    shape = Shape()
    for place in range(width):
        shape.put(f"n0.{place}", kind.start)
    for layer in range(1, layers):
        for place in range(width):
            below = (f"n{layer - 1}.{place}", f"n{layer - 1}.{(place + 1) % width}")
            shape.put(f"n{layer}.{place}", kind.add, *below, ports=("a", "b"))
    shape.put("total", kind.total, *(f"n{layers - 1}.{place}" for place in range(width)))
    return shape


def fan(kind: Kind, width: int = 1_000) -> Shape:
    shape = Shape()
    shape.put("start", kind.start)
    for place in range(width):
        shape.put(f"n{place}", kind.add_one, "start", ports=("value",))
    shape.put("total", kind.total, *(f"n{place}" for place in range(width)))
    return shape


SHAPES: Final[dict[str, Callable[[Kind], Shape]]] = {
    "chain 1,000": chain,
    "layered 50x20": layered,
    "fan 1,000 + merge": fan,
}


def bare(shape: Shape) -> tuple[float, Any]:
    """The bare loop; seconds and the target's value."""
    functions, sources, collects = shape.functions, shape.sources, shape.collects
    began = perf_counter()
    results: dict[str, Any] = {}
    for name in TopologicalSorter(sources).static_order():
        inputs = [results[source] for source in sources[name]]
        results[name] = functions[name](inputs) if name in collects else functions[name](*inputs)
    return perf_counter() - began, results[shape.target]


async def bare_awaiting(shape: Shape) -> tuple[float, Any]:
    """The bare loop over coroutine functions, awaiting one after the other."""
    functions, sources, collects = shape.functions, shape.sources, shape.collects
    began = perf_counter()
    results: dict[str, Any] = {}
    for name in TopologicalSorter(sources).static_order():
        inputs = [results[source] for source in sources[name]]
        results[name] = await (functions[name](inputs) if name in collects else functions[name](*inputs))
    return perf_counter() - began, results[shape.target]


class Sink(PlainAnswers):
    """Takes one answer, and the time it came."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.outputs: dict[str, Any] = {}
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
        raise AssertionError("nobody asked for events")

    def behind(self, demand: int) -> bool:
        return False

    async def caught_up(self, demand: int) -> None:
        return


class Engine:
    """An evaluator with one session of a shape; opening it anew empties its memory."""

    def __init__(self, kind: Kind, shape: Shape) -> None:
        catalogue = Catalogue()
        for node_type in kind.types():
            catalogue.register(node_type)
        self._sink = Sink()
        self._evaluator = Evaluator(catalogue, self._sink)
        self._shape = shape
        self._count = 0

    def reopen(self) -> float:
        """Forget everything and load the graph; seconds for loading it."""
        if self._count in self._evaluator.sessions:
            self._evaluator.close_session(self._count)
        self._evaluator.memo.clear()
        self._count += 1
        gc.collect()
        began = perf_counter()
        self._evaluator.open(self._count, self._shape.graph)
        return perf_counter() - began

    def plan(self) -> float:
        """Order the graph for its target, which else the first demand does; seconds."""
        graph = self._evaluator.sessions[self._count].graph
        began = perf_counter()
        made(graph.planning(graph.index[self._shape.target]))
        return perf_counter() - began

    async def demand(self) -> tuple[float, Any]:
        self._sink.renew()
        gc.collect()
        began = perf_counter()
        self._evaluator.demand(self._count, self._count, self._shape.target)
        self._evaluator.advance()
        await self._sink.answered
        return self._sink.ended - began, self._sink.outputs["value"]


class Rounds:
    """Named timings of interleaved rounds, in seconds. All runs of a round must give the same value."""

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}
        self._value: Any = None

    def add(self, name: str, run: tuple[float, Any]) -> None:
        seconds, value = run
        if self._value is None:
            self._value = value
        if value != self._value:
            raise AssertionError(f"{name} gave {value!r}, not {self._value!r}")
        self.note(name, seconds)

    def note(self, name: str, seconds: float) -> None:
        self._times.setdefault(name, []).append(seconds)

    def row(self, figure: str, name: str, peer: str, count: int, target: str = "") -> None:
        ours, others = self._times[name], self._times[peer]
        ratio = median(one / other for one, other in zip(ours, others, strict=True))
        print(
            f"{figure}\t{self.micros(name, count)}\t{self.micros(peer, count)}\t{ratio:.2f}x\t{target}",
            flush=True,
        )

    def micros(self, name: str, count: int) -> str:
        return f"{median(self._times[name]) / count * 1e6:.2f} us/node"


async def _measure(title: str, make: Callable[[Kind], Shape]) -> None:
    print(f"    {title}", file=sys.stderr, flush=True)
    plain, waits = make(PLAIN), make(WAITS)
    engines = {kind: Engine(kind, make(kind)) for kind in (PLAIN, ASYNC, WAITS)}
    rounds = Rounds()
    for number in range(_ROUNDS + 2):
        if number == 2:  # warm-up over
            rounds = Rounds()
        gc.collect()
        rounds.add("bare", bare(plain))
        rounds.note("load", engines[PLAIN].reopen())
        rounds.add("first", await engines[PLAIN].demand())
        for name, kind in (("sync", PLAIN), ("async", ASYNC), ("waits", WAITS)):
            engines[kind].reopen()
            rounds.note("plan", engines[kind].plan())
            rounds.add(name, await engines[kind].demand())
        rounds.add("warm", await engines[PLAIN].demand())
        gc.collect()
        rounds.add("bare awaiting", await bare_awaiting(waits))
    count = len(plain.nodes)
    rounds.row(f"{title}: sync nodes, cold", "sync", "bare", count, "<=0.8x")
    rounds.row(f"{title}: warm", "warm", "bare", count, "<=0.25x")
    rounds.row(f"{title}: async nodes, cold", "async", "bare", count, "<=1x" if title.startswith("chain") else "<=2.6x")
    rounds.row(f"{title}: all suspend; peer awaits", "waits", "bare awaiting", count)
    rounds.row(f"{title}: first demand, planning too", "first", "bare", count)
    for name in ("load", "plan"):
        print(f"{title}: to {name} the graph\t{rounds.micros(name, count)}", flush=True)


async def _measure_long_chain() -> None:
    print("    chain 100,000", file=sys.stderr, flush=True)
    for kind, name in ((PLAIN, "sync"), (ASYNC, "async")):
        rounds, shape = Rounds(), chain(kind, _LONG_CHAIN)
        plain = chain(PLAIN, _LONG_CHAIN)
        engine = Engine(kind, shape)
        for _ in range(3):
            gc.collect()
            rounds.add("bare", bare(plain))
            rounds.note("load", engine.reopen())
            rounds.note("plan", engine.plan())
            rounds.add("cold", await engine.demand())
        rounds.row(f"chain 100,000: {name} nodes, cold", "cold", "bare", _LONG_CHAIN)
        if kind is PLAIN:
            for step in ("load", "plan"):
                print(f"chain 100,000: to {step} the graph\t{rounds.micros(step, _LONG_CHAIN)}", flush=True)


async def main() -> None:
    for title, make in SHAPES.items():
        await _measure(title, make)
    await _measure_long_chain()


def _new_loop() -> asyncio.AbstractEventLoop:
    """The loop an engine would use."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(main())
