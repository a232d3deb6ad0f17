"""Checks what a demand names against its session's graph: targets, and inputs of its own.

Called by `evaluator`, and by `questions` for demands that are only thought of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphport.core.errors import LookupFailed, NodeError
from graphport.graph.compile import ALL_SINKS
from graphport.graph.port_types import check_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphport.contracts.sink import Target
    from graphport.graph.compile import CompiledGraph


def target_of(graph: CompiledGraph, node: Target) -> int | tuple[int, ...]:
    """Where in the graph is what is demanded.

    Raises:
        LookupFailed: `unknown_node`.
    """
    index = graph.index
    if node.__class__ is str and node != ALL_SINKS:
        found = index.get(node)
        if found is None:
            raise _unknown_node(node, graph)
        return found
    ids = graph.sinks if node == ALL_SINKS else node
    for each in ids:
        if each not in index:
            raise _unknown_node(each, graph)
    return tuple([index[each] for each in ids])


def _unknown_node(node: str, graph: CompiledGraph) -> LookupFailed:
    hint = _hint(node, graph.index) if len(graph.index) <= 10_000 else ""
    return LookupFailed(f"the graph has no node {node!r}{hint}", code="unknown_node", node_id=node)


def _hint(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    # Looking costs time for each character of the name.
    near = get_close_matches(name, known, 1) if len(name) <= 1_000 else []
    return f"; did you mean {near[0]!r}?" if near else ""


def check_given(inputs: Mapping[str, dict[str, Any]], graph: CompiledGraph) -> None:
    """Check the demand's own inputs, those for nodes it does not need as well.

    Raises:
        LookupFailed: `unknown_node`.
        NodeError: `invalid_input` for a port that does not exist or a value that does not fit it.
    """
    for node_id, ports in inputs.items():
        index = graph.index.get(node_id)
        if index is None:
            raise _unknown_node(node_id, graph)
        spec = graph.nodes[index].type.spec
        for name, value in ports.items():
            port = spec.input(name)
            if port is None:
                names = [each.name for each in spec.inputs]
                known = ", ".join(names) or "none"
                raise NodeError(
                    f"node {node_id!r} ({spec.type}) has no input {name!r}; it has: {known}{_hint(name, names)}",
                    code="invalid_input",
                    node_id=node_id,
                )
            problem = check_value(port, value)
            if problem is not None:
                raise NodeError(f"input {name!r} of node {node_id!r}: {problem}", code="invalid_input", node_id=node_id)
