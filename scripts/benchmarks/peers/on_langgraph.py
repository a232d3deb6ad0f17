"""LangGraph: a channel for each node's value, and for each node a schema of just those it reads. See `variant`.

Schemas of their own are kinder to it than one state that every node is given whole.
"""

from __future__ import annotations

import typing
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final

from scripts.benchmarks.peers.variant import Variant

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.benchmarks.shapes import Shape, Step

_RECURSION_LIMIT: Final = 1_000_000


def _node(name: str, step: Step) -> Callable[[dict[str, Any]], Any]:
    if iscoroutinefunction(step.function):

        async def run(state: dict[str, Any]) -> dict[str, Any]:
            return {name: await step.call([state[source] for source in step.sources])}

        return run
    return lambda state: {name: step.call([state[source] for source in step.sources])}


def _schema(name: str, ports: tuple[str, ...]) -> Any:
    return typing.TypedDict(name, dict.fromkeys(ports, int))  # type: ignore[operator]


def _builder(shape: Shape, **options: Any) -> Any:
    from langgraph.graph import START, StateGraph

    builder: Any = StateGraph(_schema("State", tuple(shape.steps)))
    for name, step in shape.steps.items():
        schema = _schema(f"Input_{name}", step.sources or (name,))
        builder.add_node(f"do_{name}", _node(name, step), input_schema=schema, **options)
        before = [f"do_{source}" for source in step.sources]
        builder.add_edge(before if len(before) > 1 else before[0] if before else START, f"do_{name}")
    return builder


class _Graph:
    def __init__(self, shape: Shape, *, cached: bool = False, saved: bool = False) -> None:
        self._target = shape.target
        self._cached, self._saved = cached, saved
        if cached:
            from langgraph.types import CachePolicy

            self._builder = _builder(shape, cache_policy=CachePolicy())
        else:
            self._builder = _builder(shape)
        self.forget()

    def forget(self) -> None:
        from langgraph.cache.memory import InMemoryCache
        from langgraph.checkpoint.memory import InMemorySaver

        cache = InMemoryCache() if self._cached else None
        saver = InMemorySaver() if self._saved else None
        self._graph = self._builder.compile(cache=cache, checkpointer=saver)

    async def run(self) -> Any:
        config = {"recursion_limit": _RECURSION_LIMIT, "configurable": {"thread_id": "1"}}
        answer = self._graph.invoke({}, config, output_keys=[self._target])
        return answer[self._target]


async def run_async(shape: Shape) -> Any:
    """The target's value, of a shape of coroutine functions."""
    answer = await _builder(shape).compile().ainvoke({}, output_keys=[shape.target])
    return answer[shape.target]


VARIANTS: Final = (
    Variant(
        name="LangGraph",
        distribution="langgraph",
        does="runs in supersteps, in a thread pool where a step has several; no key, cache or metrics",
        prepare=_Graph,
    ),
    Variant(
        name="LangGraph, CachePolicy",
        distribution="langgraph",
        does="the same, and key and cache in memory",
        prepare=lambda shape: _Graph(shape, cached=True),
        caches=True,
    ),
    Variant(
        name="LangGraph, InMemorySaver",
        distribution="langgraph",
        does="without a cache; a checkpoint in memory for each superstep",
        prepare=lambda shape: _Graph(shape, saved=True),
        in_picture=False,
    ),
)
