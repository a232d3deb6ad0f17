"""point-cloud-output: the end of a point cloud's way through a graph. Runs inline, pure."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, TypeGuard

from graphport.contracts.node import PortSpec
from graphport.core.errors import NodeError
from graphport.graph.authoring import node, node_type_of
from graphport.graph.port_types import shown


@node(
    inputs=[
        PortSpec(
            name="point_cloud",
            # `any`, because clouds also come as JSON.
            type="any",
            external=True,
            description="A map of `positions` ([x, y, z] each) and, if known, as many `colors` ([r, g, b], 0 to 1).",
        )
    ],
    outputs=[PortSpec(name="point_cloud", type="point_cloud", description="The cloud as it was given, or null.")],
    category="output",
    execution="inline",
    trusted=True,
)
def point_cloud_output(point_cloud: Any) -> Any:
    """Gives the point cloud it receives, unchanged, or null if it receives nothing. Single points are not looked at.

    Raises:
        NodeError: `invalid_input` if it is no map with positions, or has not one colour for each position.
    """
    if point_cloud is None:
        return None
    positions = point_cloud.get("positions") if isinstance(point_cloud, dict) else None
    if not _is_row(positions):
        raise NodeError(
            f"point-cloud-output: expected a map with a list of `positions`, got {shown(point_cloud)}.",
            code="invalid_input",
        )
    colors = point_cloud.get("colors")
    if colors is not None and not (_is_row(colors) and len(colors) == len(positions)):
        raise NodeError(
            f"point-cloud-output: expected {len(positions)} `colors`, one for each position, "
            f"got {len(colors) if _is_row(colors) else shown(colors)}.",
            code="invalid_input",
        )
    return point_cloud


def _is_row(value: Any) -> TypeGuard[Sized]:
    """Whether it is a list, an array of a library or the like: not a text, not a map."""
    return isinstance(value, Sized) and not isinstance(value, str | bytes | dict)


NODE = node_type_of(point_cloud_output)
