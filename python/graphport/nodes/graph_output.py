"""graph-output: declares an output of the graph it is in. Runs inline, pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.node import PortSpec
from graphport.graph.authoring import node, node_type_of
from graphport.nodes._ports import declared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphport.contracts.inner_graph import InnerGraph
    from graphport.contracts.node import NodeType


@node(
    inputs=[
        PortSpec(name="value", type="any", required=True, description="What the graph gives."),
        PortSpec(name="name", type="string", description="The output's name; null is the node's own id."),
        PortSpec(name="type", type="string", default="any", description="The type of its values."),
    ],
    outputs=[PortSpec(name="value", type="any", description="The same, of the declared type.")],
    category="structure",
    execution="inline",
    trusted=True,
)
def graph_output(value: Any, **_declared: Any) -> Any:
    """Declares an output of the graph it is in: what comes in is what the graph gives under that name.

    `name` and `type` are read from the node's data alone, when the graph is loaded.
    """
    return value


def _shape(data: Mapping[str, Any], inner: InnerGraph | None) -> NodeType:
    port = declared(data, _BASE.spec, required=True)
    spec = _BASE.spec.model_copy(update={"inputs": (port,), "outputs": (PortSpec(name="value", type=port.type),)})
    return replace(_BASE, spec=spec, handler=_give)


def _give(inputs: dict[str, Any], context: Any) -> dict[str, Any]:
    return {"value": inputs["value"]}


_BASE: Final = node_type_of(graph_output)
NODE: Final = replace(_BASE, shape=_shape, declares="output")
