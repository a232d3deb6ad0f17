"""Reads the port that a node's data declare. Pure, and no node itself. Used by graph-input and graph-output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphport.contracts.node import PortSpec
from graphport.core.errors import NodeError
from graphport.graph.port_types import check_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphport.contracts.node import NodeSpec


def declared(data: Mapping[str, Any], base: NodeSpec, *, required: bool) -> PortSpec:
    """The port `value` as the data have it: `type`, and of an input `default` and `required` too.

    Raises:
        NodeError: `invalid_input` if one of these, or `name`, is not of its kind.
    """
    for port in base.inputs:
        given = data.get(port.name)
        problem = None if given is None else check_value(port, given)
        if problem is not None and port.name != "value":
            raise NodeError(f"data {port.name!r}: {problem}.", code="invalid_input")
    name = data.get("name")
    if name == "" or (isinstance(name, str) and name.startswith("[")):
        raise NodeError("a port's name is a text that is not empty and begins with no bracket.", code="invalid_input")
    made = PortSpec(
        name="value",
        type=data.get("type") or "any",
        required=required or bool(data.get("required")),
        default=data.get("default"),
    )
    problem = None if made.default is None else check_value(made, made.default)
    if problem is not None:
        raise NodeError(f"data 'default': {problem}.", code="invalid_input")
    return made
