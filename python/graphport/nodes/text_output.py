"""text-output: the end of a text's way through a graph. Runs inline, pure."""

from __future__ import annotations

import json
from typing import Any

from graphport.contracts.node import PortSpec
from graphport.graph.authoring import node, node_type_of


@node(
    inputs=[PortSpec(name="text", type="string", external=True, description="The text to show.")],
    outputs=[PortSpec(name="text", type="string", description="The text.")],
    category="output",
    execution="inline",
    trusted=True,
)
def text_output(text: Any) -> str:
    """Gives the text it receives. Values that are no text are shown as JSON, nothing as an empty text."""
    if isinstance(text, str):
        return text
    if text is None:
        return ""
    # Numbers, booleans and JSON may be connected to a text port, and must not vanish there.
    return json.dumps(text, ensure_ascii=False, default=repr)


NODE = node_type_of(text_output)
