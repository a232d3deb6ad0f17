"""text-input: a text from the demand, an edge or the graph. Runs inline, pure."""

from __future__ import annotations

from graphport.contracts.node import PortSpec
from graphport.graph.authoring import node, node_type_of


@node(
    inputs=[PortSpec(name="text", type="string", description="The text.")],
    outputs=[PortSpec(name="text", type="string", description="The text as it was given.")],
    category="input",
    execution="inline",
    trusted=True,
)
def text_input(text: str = "") -> str:
    """Gives a text: the demand's, else the graph's, else an empty one."""
    return "" if text is None else text


NODE = node_type_of(text_input)
