"""graph: a graph as a node. Async; what it is evaluated to is cached node by node, and as a whole."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import NodeError
from graphport.graph.authoring import node, node_type_of
from graphport.nodes._inner import HELD, given_to, seed_of, shaped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphport.contracts.inner_graph import InnerGraph
    from graphport.contracts.node import NodeType
    from graphport.contracts.run_context import RunContext


@node(
    type="graph",
    inputs=[HELD],
    outputs=[],
    category="structure",
    trusted=True,
)
async def compound(graph: Any) -> None:
    """Evaluates the graph that it holds. Its ports are those that `graph-input` and `graph-output` declare there.

    All outputs of the inner graph are evaluated; one without outputs is evaluated for what it does, to its last nodes.
    An output behind a dead port is dead outside as well, and while an edge into a single port is dead nothing is
    evaluated. The inner graph sees the settings of the outermost one, and its own before those. It is compiled when a
    demand first comes to it.

    Raises:
        NodeError: what a node of the graph raises; its `node_id` is the way to it, such as `outer/inner`.
    """
    raise NodeError("graph: a node of this type has the ports of the graph that it holds.", code="node_failed")


async def _evaluate(inner: InnerGraph, inputs: dict[str, Any], ctx: RunContext) -> dict[str, Any]:
    outputs = await ctx.evaluate(inner, given_to(inner, inputs), seed=seed_of(inputs))
    return outputs if inner.outputs else {}


def _shape(data: Mapping[str, Any], inner: InnerGraph | None) -> NodeType:
    if inner is None:
        raise NodeError("it holds no graph.", code="invalid_input")
    return shaped(
        _BASE.spec,
        inner,
        partial(_evaluate, inner),
        _BASE.code_digest,
        inputs=inner.inputs,
        outputs=inner.outputs,
        gate=inner.gate,
    )


_BASE: Final = node_type_of(compound)
NODE: Final = replace(_BASE, shape=_shape, holds_graph=True)
