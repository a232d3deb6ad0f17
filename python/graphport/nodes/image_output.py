"""image-output: the end of an image's way through a graph. Runs inline, pure."""

from __future__ import annotations

from typing import Any

from graphport.contracts.node import PortSpec
from graphport.graph.authoring import node, node_type_of
from graphport.nodes._values import media


@node(
    inputs=[PortSpec(name="image", type="image", external=True, description="The image to show.")],
    outputs=[PortSpec(name="image", type="image", description="The image as it was given, or null.")],
    category="output",
    execution="inline",
    trusted=True,
)
def image_output(image: Any) -> Any:
    """Gives the image it receives, unchanged, or null if it receives nothing.

    Raises:
        NodeError: `invalid_input` if the value cannot be an image.
    """
    return None if image is None else media(image, "image-output", "an image")


NODE = node_type_of(image_output)
