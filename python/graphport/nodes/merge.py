"""merge: many texts to one. Runs inline, pure."""

from __future__ import annotations

from typing import Any, TypedDict

from graphport.contracts.node import PortSpec
from graphport.graph.authoring import node, node_type_of


class Merged(TypedDict):
    """The outputs."""

    merged: str
    count: int


@node(
    # `any`, because an edge may bring a whole list of texts.
    inputs=[
        PortSpec(
            name="inputs",
            type="any",
            required=True,
            multiple=True,
            description="Texts, or lists of texts, in the order of the edges.",
        )
    ],
    outputs=[
        PortSpec(name="merged", type="string", description="The texts, joined."),
        PortSpec(name="count", type="integer", description="Number of texts that were joined."),
    ],
    category="text",
    execution="inline",
    trusted=True,
)
def merge(inputs: list[Any]) -> Merged:
    """Joins texts by line breaks. Blank texts and values that are no text are left out."""
    flat = (text for value in inputs for text in (value if isinstance(value, list) else (value,)))
    texts = [text for text in flat if isinstance(text, str) and text.strip()]
    return {"merged": "\n".join(texts), "count": len(texts)}


NODE = node_type_of(merge)
