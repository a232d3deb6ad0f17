"""graph-input: declares an input of the graph it is in. Runs inline, pure."""

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
        PortSpec(name="value", type="any", external=True, description="What the graph is given; set by its holder."),
        PortSpec(name="name", type="string", description="The input's name; null is the node's own id."),
        PortSpec(name="type", type="string", default="any", description="The type of its values."),
        PortSpec(name="default", type="any", description="The value if nobody gives one."),
        PortSpec(name="required", type="boolean", default=False, description="Whether it must be given."),
    ],
    outputs=[PortSpec(name="value", type="any", description="The value, of the declared type.")],
    category="structure",
    execution="inline",
    trusted=True,
)
def graph_input(value: Any, **_declared: Any) -> Any:
    """Declares an input of the graph it is in, and gives what comes in.

    `name`, `type`, `default` and `required` are read from the node's data alone, when the graph is loaded. In the
    outermost graph it gives what a demand's inputs say.
    """
    return value


def _shape(data: Mapping[str, Any], inner: InnerGraph | None) -> NodeType:
    port = declared(data, _BASE.spec, required=False)
    spec = _BASE.spec.model_copy(
        update={
            "inputs": (port.model_copy(update={"external": True}),),
            "outputs": (PortSpec(name="value", type=port.type),),
        }
    )
    return replace(_BASE, spec=spec, handler=_give)


def _give(inputs: dict[str, Any], context: Any) -> dict[str, Any]:
    return {"value": inputs["value"]}


_BASE: Final = node_type_of(graph_input)
NODE: Final = replace(_BASE, shape=_shape, declares="input")
