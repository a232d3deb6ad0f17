"""Graphport among its peers: see `variant`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from scripts.benchmarks.peers.variant import Variant

if TYPE_CHECKING:
    from scripts.benchmarks.shapes import Shape


class _Session:
    def __init__(self, shape: Shape, *, events: bool) -> None:
        from scripts.benchmarks.graphport_engine import Engine

        self._engine = Engine(shape, events=events)
        self.forget()

    def forget(self) -> None:
        self._engine.reopen()
        self._engine.plan()

    async def run(self) -> Any:
        _, value = await self._engine.demand()
        return value


async def run_async(shape: Shape) -> Any:
    """The target's value, of a shape of coroutine functions."""
    from graphport.graph.authoring import node

    for step in shape.steps.values():
        node(step.function)
    return await _Session(shape, events=False).run()


VARIANTS: Final = (
    Variant(
        name="Graphport",
        distribution="graphport",
        does="key, cache, metrics per type; single flight, cancellable at each node",
        prepare=lambda shape: _Session(shape, events=False),
        caches=True,
        long_chain=True,
    ),
    Variant(
        name="Graphport, events told",
        distribution="graphport",
        does="the same, and two events for each node to a sink",
        prepare=lambda shape: _Session(shape, events=True),
        caches=True,
    ),
)
