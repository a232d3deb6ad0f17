"""vector-output: the end of a vector's way through a graph. Runs inline, pure."""

from __future__ import annotations

from typing import Any

from graphport.contracts.node import PortSpec
from graphport.graph.authoring import node, node_type_of
from graphport.nodes._values import vector as read_vector


@node(
    # `any`, because vectors also come as embeddings, as JSON and as text.
    inputs=[PortSpec(name="vector", type="any", external=True, description="A list of numbers, or its JSON text.")],
    outputs=[PortSpec(name="vector", type="vector", description="The numbers as floats, or null if there are none.")],
    category="output",
    execution="inline",
    trusted=True,
)
def vector_output(vector: Any) -> list[float] | None:
    """Gives the vector it receives, or null if it receives nothing.

    Raises:
        NodeError: `invalid_input` if an item is no finite number, or it is no list at all.
    """
    return None if vector is None else read_vector(vector, "vector-output")


NODE = node_type_of(vector_output)
