"""selection-input: one of several values, chosen by a person. Runs inline, pure."""

from __future__ import annotations

from typing import Any

from graphport.contracts.node import PortSpec
from graphport.graph.authoring import node, node_type_of


@node(
    inputs=[PortSpec(name="value", type="any", external=True, description="What is chosen; null while nothing is.")],
    outputs=[PortSpec(name="value", type="any", description="What was chosen, or null.")],
    category="input",
    execution="inline",
    trusted=True,
)
def selection_input(value: Any) -> Any:
    """Gives the value that was chosen, of whatever type, or null if nothing is.

    Which values there are to choose from says the input port that the choice is connected to, by its `choices`.
    """
    return value


NODE = node_type_of(selection_input)
