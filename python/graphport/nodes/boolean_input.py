"""boolean-input: true or false from the demand, an edge or the graph. Runs inline, pure."""

from __future__ import annotations

from typing import Any, Final

from graphport.contracts.node import PortSpec
from graphport.core.errors import NodeError
from graphport.graph.authoring import node, node_type_of
from graphport.graph.port_types import shown

_WORDS: Final = {"true": True, "false": False}


@node(
    # `any`, because the words "true" and "false" are as good as the values.
    inputs=[PortSpec(name="value", type="any", required=True, external=True, description="True or false.")],
    outputs=[PortSpec(name="value", type="boolean", description="True or false.")],
    category="input",
    execution="inline",
    trusted=True,
)
def boolean_input(value: Any) -> bool:
    """Gives true or false; the words "true" and "false" count as the values.

    Raises:
        NodeError: `invalid_input` for anything else.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _WORDS:
        return _WORDS[value]
    raise NodeError(f"boolean-input: expected true or false, got {shown(value)}.", code="invalid_input")


NODE = node_type_of(boolean_input)
