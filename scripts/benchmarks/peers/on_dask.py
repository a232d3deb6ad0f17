"""Dask's local schedulers on its documented graphs, a dict of tuples. See `variant`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from scripts.benchmarks.peers.variant import Keeping, Variant

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.benchmarks.shapes import Shape


class _Graph(Keeping):
    def __init__(self, shape: Shape, get: Callable[..., Any]) -> None:
        self._get = get
        self._target = shape.target
        self._graph = {
            name: (step.function, list(step.sources)) if step.collects else (step.function, *step.sources)
            for name, step in shape.steps.items()
        }

    async def run(self) -> Any:
        return self._get(self._graph, self._target)


def _synchronous(shape: Shape) -> _Graph:
    import dask

    return _Graph(shape, dask.get)


def _threaded(shape: Shape) -> _Graph:
    import dask.threaded

    return _Graph(shape, dask.threaded.get)


VARIANTS: Final = (
    Variant(
        name="Dask, synchronous",
        distribution="dask",
        does="orders and schedules; no key, cache, events or metrics; no async",
        prepare=_synchronous,
        long_chain=True,
    ),
    Variant(
        name="Dask, threads",
        distribution="dask",
        does="the same, each node in a thread pool",
        prepare=_threaded,
    ),
)
