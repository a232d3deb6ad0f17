"""What the nodes that hold a graph have in common: their ports, after those of the graph.

Pure, and no node itself. Results hang on the graph's digest and on this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.node import NodeSpec, NodeType, PortSpec
from graphport.core.errors import NodeError
from graphport.graph.digest import BLAKE2B
from graphport.graph.port_types import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from graphport.contracts.inner_graph import InnerGraph

GRAPH: Final = "graph"
SEED: Final = "seed"
_OWN_CODE: Final = BLAKE2B.hash(Path(__file__).read_bytes())

_SEED_PORT: Final = PortSpec(
    name=SEED, type="integer", hidden=True, description="What the seeds of samplers in the graph are drawn from."
)
HELD: Final = PortSpec(
    name=GRAPH,
    type="json",
    required=True,
    description="The graph, or the name of one in `graphs` of the outermost graph. In the node's data alone.",
)


def shaped(
    base: NodeSpec,
    inner: InnerGraph,
    handler: Callable[[dict[str, Any], Any], Any],
    code: bytes,
    *,
    own: Iterable[PortSpec] = (),
    inputs: Iterable[PortSpec],
    outputs: Iterable[PortSpec],
    gate: bool = False,
) -> NodeType:
    """The type of one node that holds a graph.

    Args:
        base: the spec of such nodes.
        inner: the graph.
        handler: evaluates it.
        code: digest of the code that does so.
        own: input ports of the node itself, whose names the graph's own inputs cannot have.
        inputs: input ports after the graph's.
        outputs: output ports.
        gate: outputs may be dead.

    Raises:
        NodeError: `invalid_input` if an input of the graph has a name that is taken.
    """
    own = tuple(own)
    ports = tuple(inputs)
    taken = {GRAPH, *(port.name for port in own)}
    for port in ports:
        if port.name in taken:
            raise NodeError(
                f"the inner graph declares an input {port.name!r}, a name that {base.type} has for itself; "
                "give it another one.",
                code="invalid_input",
            )
    if inner.effect == "seeded" and not any(port.name == SEED for port in (*own, *ports)):
        own = (*own, _SEED_PORT)
    spec = base.model_copy(
        update={"inputs": (*own, *ports), "outputs": tuple(outputs), "effect": inner.effect, "gate": gate}
    )
    digest = BLAKE2B.hash(_OWN_CODE + code + inner.digest)
    return NodeType(spec=spec, handler=handler, code_digest=digest, trusted=True, inner=inner)


def seed_of(inputs: Mapping[str, Any]) -> int | None:
    """The seed among the inputs, if it is one."""
    seed = inputs.get(SEED)
    return seed if type(seed) is int else None


def given_to(inner: InnerGraph, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a node's inputs that the graph itself takes."""
    return {port.name: inputs[port.name] for port in inner.inputs if port.name in inputs}


def listed(node: str, items: Any) -> list[Any] | tuple[Any, ...]:
    """What a node is to go through.

    Raises:
        NodeError: `invalid_input` if it is no list.
    """
    if not isinstance(items, list | tuple):
        raise NodeError(f"{node}: `items` should be a list, got {shown(items)}.", code="invalid_input")
    return items
