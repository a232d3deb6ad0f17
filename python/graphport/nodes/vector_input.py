"""vector-input: a vector from the demand, an edge or the graph. Runs inline, pure."""

from __future__ import annotations

from typing import Any

from graphport.contracts.node import PortSpec
from graphport.graph.authoring import node, node_type_of
from graphport.nodes._values import vector as read_vector


@node(
    # `any`, because the JSON text of a list is as good as the list.
    inputs=[
        PortSpec(
            name="vector", type="any", external=True, description="A list of numbers, or its JSON text; else empty."
        )
    ],
    outputs=[PortSpec(name="vector", type="vector", description="The numbers as floats.")],
    category="input",
    execution="inline",
    trusted=True,
)
def vector_input(vector: Any) -> list[float]:
    """Gives a list of finite numbers, an empty one if there is none; a JSON text counts as the list it reads as.

    Raises:
        NodeError: `invalid_input` if an item is no finite number, or it is no list at all.
    """
    return [] if vector is None else read_vector(vector, "vector-input")


NODE = node_type_of(vector_input)
