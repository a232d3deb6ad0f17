"""The graphs that evaluators are measured with, as plain functions and their sources, and the bare loop over them.

Knows no engine, so that a peer's process imports that peer alone. The functions do next to nothing: what a run takes
is the engine's own. Called by `evaluator` and by everything in `peers`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Function: TypeAlias = "Callable[..., Any]"

LONG_CHAIN: Final = 100_000


def start(value: int = 1) -> int:
    return value


def add_one(value: int) -> int:
    return value + 1


def add(a: int, b: int) -> int:
    return a + b


def total(values: list[int]) -> int:
    return sum(values)


@dataclass(frozen=True)
class Functions:
    """The node functions in one way of writing them: plain, as coroutines, as an engine's own nodes."""

    start: Function
    add_one: Function
    add: Function
    total: Function


PLAIN: Final = Functions(start, add_one, add, total)


@dataclass(frozen=True)
class Step:
    """One node.

    Attributes:
        function: what it does.
        sources: the nodes it reads, one for each of its parameters, or all in one list if it collects.
        parameters: their names; of a node that collects the one.
        collects: the function takes one list.
    """

    function: Function
    sources: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    collects: bool = False

    def call(self, values: list[Any]) -> Any:
        return self.function(values) if self.collects else self.function(*values)


@dataclass
class Shape:
    """One graph. Sources stand before those that read them, names are identifiers, and the last node is the target."""

    steps: dict[str, Step] = field(default_factory=dict)

    @property
    def target(self) -> str:
        return next(reversed(self.steps))

    def __len__(self) -> int:
        return len(self.steps)


def chain(functions: Functions, length: int = 1_000) -> Shape:
    steps = {"n0": Step(functions.start)}
    for number in range(1, length):
        steps[f"n{number}"] = Step(functions.add_one, (f"n{number - 1}",), ("value",))
    return Shape(steps)


def layered(functions: Functions, layers: int = 50, width: int = 20) -> Shape:
    steps = {f"n0_{place}": Step(functions.start) for place in range(width)}
    for layer in range(1, layers):
        for place in range(width):
            below = (f"n{layer - 1}_{place}", f"n{layer - 1}_{(place + 1) % width}")
            steps[f"n{layer}_{place}"] = Step(functions.add, below, ("a", "b"))
    last = tuple(f"n{layers - 1}_{place}" for place in range(width))
    steps["total"] = Step(functions.total, last, ("values",), collects=True)
    return Shape(steps)


def fan(functions: Functions, width: int = 1_000) -> Shape:
    steps = {"start": Step(functions.start)}
    for place in range(width):
        steps[f"n{place}"] = Step(functions.add_one, ("start",), ("value",))
    steps["total"] = Step(functions.total, tuple(f"n{place}" for place in range(width)), ("values",), collects=True)
    return Shape(steps)


SHAPES: Final[dict[str, Callable[[Functions], Shape]]] = {
    "chain 1,000": chain,
    "layered 50x20": layered,
    "fan 1,000 + merge": fan,
}
SMALL_SHAPES: Final[dict[str, Callable[[Functions], Shape]]] = {
    "chain": lambda functions: chain(functions, 7),
    "layered": lambda functions: layered(functions, 4, 3),
    "fan": lambda functions: fan(functions, 5),
}


@dataclass(frozen=True)
class Bare:
    """A shape as the bare loop wants it: no object between it and the functions."""

    functions: dict[str, Function]
    sources: dict[str, tuple[str, ...]]
    collects: set[str]
    target: str

    @classmethod
    def of(cls, shape: Shape) -> Bare:
        return cls(
            {name: step.function for name, step in shape.steps.items()},
            {name: step.sources for name, step in shape.steps.items()},
            {name for name, step in shape.steps.items() if step.collects},
            shape.target,
        )

    def run(self) -> tuple[float, Any]:
        """Order the graph anew, call each function, store its result; seconds and the target's value."""
        functions, sources, collects = self.functions, self.sources, self.collects
        began = perf_counter()
        results: dict[str, Any] = {}
        for name in TopologicalSorter(sources).static_order():
            inputs = [results[source] for source in sources[name]]
            results[name] = functions[name](inputs) if name in collects else functions[name](*inputs)
        return perf_counter() - began, results[self.target]

    async def run_awaiting(self) -> tuple[float, Any]:
        """The same over coroutine functions, awaiting one after the other."""
        functions, sources, collects = self.functions, self.sources, self.collects
        began = perf_counter()
        results: dict[str, Any] = {}
        for name in TopologicalSorter(sources).static_order():
            inputs = [results[source] for source in sources[name]]
            results[name] = await (functions[name](inputs) if name in collects else functions[name](*inputs))
        return perf_counter() - began, results[self.target]
