"""Python alone: the bare loop itself, and asyncio with a task for each node. See `variant`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from scripts.benchmarks.peers.variant import Keeping, Variant
from scripts.benchmarks.shapes import Bare

if TYPE_CHECKING:
    from scripts.benchmarks.shapes import Shape, Step


class _Bare(Keeping):
    def __init__(self, shape: Shape) -> None:
        self._bare = Bare.of(shape)

    async def run(self) -> Any:
        _, value = self._bare.run()
        return value


class _Tasks(Keeping):
    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    async def run(self) -> Any:
        tasks: dict[str, asyncio.Task[Any]] = {}

        async def evaluate(step: Step) -> Any:
            return step.call([await tasks[source] for source in step.sources])

        for name, step in self._shape.steps.items():
            tasks[name] = asyncio.create_task(evaluate(step))
        return await tasks[self._shape.target]


BARE: Final = "the bare loop"

VARIANTS: Final = (
    Variant(
        name=BARE,
        distribution="",
        does="orders anew in each run, calls, stores; no key, cache, events or metrics",
        prepare=_Bare,
        long_chain=True,
        in_picture=False,
    ),
    Variant(
        name="asyncio, a task per node",
        distribution="",
        does="a task that awaits those before it; no key, cache, events or metrics",
        prepare=_Tasks,
        long_chain=True,
    ),
)
