"""linked-input: the value of an element of the host's user interface. Runs inline, pure."""

from __future__ import annotations

from typing import Any

from graphport.contracts.node import PortSpec
from graphport.graph.authoring import node, node_type_of


@node(
    # `any`, because elements hold texts, but also numbers and truth values.
    inputs=[
        PortSpec(
            name="linked_value",
            type="any",
            external=True,
            description="What the linked element holds; null while nothing is linked.",
        )
    ],
    outputs=[PortSpec(name="value", type="any", description="That value; an empty text for null.")],
    category="input",
    execution="inline",
    trusted=True,
)
def linked_input(linked_value: Any) -> Any:
    """Gives what an element of the host's user interface holds, or an empty text while nothing is linked.

    The host puts the value into the node's data, or into the inputs of a demand.
    """
    return "" if linked_value is None else linked_value


NODE = node_type_of(linked_input)
