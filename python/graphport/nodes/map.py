"""map: a graph for each item of a list, several at a time. Async; cached item by item, and as a whole."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.node import PortSpec
from graphport.core.errors import GraphportError, NodeError
from graphport.graph.authoring import node, node_type_of
from graphport.graph.port_types import shown
from graphport.nodes._inner import HELD, given_to, listed, seed_of, shaped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphport.contracts.inner_graph import InnerGraph
    from graphport.contracts.node import NodeType
    from graphport.contracts.run_context import RunContext

ITEM: Final = "item"
INDEX: Final = "index"
_ITEMS: Final = PortSpec(name="items", type="list", required=True, description="What the graph is evaluated for.")
_CONCURRENCY: Final = PortSpec(
    name="concurrency", type="integer", default=4, min=1, description="How many items at a time, at most."
)


@node(type="map", inputs=[HELD, _ITEMS, _CONCURRENCY], outputs=[], category="structure", trusted=True)
async def map_items(graph: Any, items: Any, concurrency: Any) -> None:
    """Evaluates the graph that it holds once for each item of a list.

    The graph is given the item as its input `item` and the item's place, from 0, as `index`, if it declares them; its
    other inputs are inputs of this node, the same for all items. Each output of the graph is an output of this node:
    the list of what the items gave, in their order, with null where an output was dead. The first item that fails ends
    the others; the error names its place. Items that were evaluated before are found in the cache.

    Raises:
        NodeError: `invalid_input` if `items` is no list or `concurrency` no whole number from 1; else what a node of
            the graph raises, whose `node_id` is the way to it, such as `map/3/inner`.
    """
    raise NodeError("map: a node of this type has the ports of the graph that it holds.", code="node_failed")


async def _evaluate(inner: InnerGraph, inputs: dict[str, Any], ctx: RunContext) -> dict[str, Any]:
    items = listed("map", inputs["items"])
    concurrency = inputs["concurrency"]
    if type(concurrency) is not int or concurrency < 1:
        raise NodeError(
            f"map: `concurrency` should be a whole number from 1, got {shown(concurrency)}.", code="invalid_input"
        )
    shared, seed = given_to(inner, inputs), seed_of(inputs)
    takes = {port.name for port in inner.inputs}
    results: list[dict[str, Any]] = [{} for _ in items]
    waiting = iter(enumerate(items))
    done = 0

    async def work() -> None:
        nonlocal done
        for index, item in waiting:
            given = shared | {name: value for name, value in ((ITEM, item), (INDEX, index)) if name in takes}
            try:
                results[index] = await ctx.evaluate(
                    inner, given, label=str(index), seed=None if seed is None else seed + index
                )
            except GraphportError as error:
                raise _of_item(error, index) from error
            done += 1
            ctx.progress(done / len(items), f"{done} of {len(items)}")

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(items))):
                group.create_task(work())
    except BaseExceptionGroup as errors:  # not `except*`: in 3.11.2 what is raised there comes out in a group
        own, others = errors.split(GraphportError)
        if own is None or others is not None:
            raise
        failed: BaseException = own
        while isinstance(failed, BaseExceptionGroup):
            failed = failed.exceptions[0]
        raise failed from None
    return {port.name: [result.get(port.name) for result in results] for port in inner.outputs}


def _of_item(error: GraphportError, index: int) -> GraphportError:
    """The error with the item's place in its words. It is this node's own copy."""
    error.message = f"item {index}: {error.message}"
    error.args = (error.message,)
    error.details = {**(error.details or {}), "index": index}
    return error


def _shape(data: Mapping[str, Any], inner: InnerGraph | None) -> NodeType:
    if inner is None:
        raise NodeError("it holds no graph.", code="invalid_input")
    return shaped(
        _BASE.spec,
        inner,
        partial(_evaluate, inner),
        _BASE.code_digest,
        own=(_ITEMS, _CONCURRENCY),
        inputs=[port for port in inner.inputs if port.name not in (ITEM, INDEX)],
        outputs=[port.model_copy(update={"type": "list"}) for port in inner.outputs],
    )


_BASE: Final = node_type_of(map_items)
NODE: Final = replace(_BASE, shape=_shape, holds_graph=True)
