"""component-preview: has the host show a component of its user interface. Async because it streams; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphport.contracts.node import PortSpec
from graphport.core.errors import NodeError
from graphport.graph.authoring import node, node_type_of
from graphport.graph.port_types import shown

if TYPE_CHECKING:
    from graphport.contracts.run_context import RunContext


@node(
    inputs=[
        PortSpec(
            name="component",
            type="component",
            required=True,
            external=True,
            description="What the host knows the component by: its path or name, or a map that describes it.",
        ),
        PortSpec(name="props", type="json", default={}, description="The component's properties: a map."),
    ],
    outputs=[
        PortSpec(
            name="rendered", type="component", stream=True, description="A map of `component` and `props`, to be shown."
        )
    ],
    category="output",
    trusted=True,
)
async def component_preview(component: Any, props: Any, ctx: RunContext) -> dict[str, Any]:
    """Gives a component and its properties for the host to show, and streams them, so that a preview follows.

    Every chunk is the whole map and replaces the one before. It is streamed whenever a demand needs the node, also
    if the demand is for another node.

    Raises:
        NodeError: `missing_input` if there is no component; `invalid_input` if it is blank or neither a text nor a
            map, or if the properties are no map.
    """
    if component is None:
        raise NodeError("component-preview: there is no component.", code="missing_input")
    if not isinstance(component, str | dict) or not (component.strip() if isinstance(component, str) else component):
        raise _wrong("component", "a path, a name or a map", component)
    if props is not None and not isinstance(props, dict):
        raise _wrong("props", "a map", props)
    rendered = {"component": component, "props": props or {}}
    await ctx.stream("rendered", rendered)
    return {"rendered": rendered}


def _wrong(port: str, expected: str, value: Any) -> NodeError:
    return NodeError(f"component-preview: `{port}` should be {expected}, got {shown(value)}.", code="invalid_input")


NODE = node_type_of(component_preview)
