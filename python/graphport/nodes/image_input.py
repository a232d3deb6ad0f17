"""image-input: an image from the demand, an edge or the graph. Runs inline, pure."""

from __future__ import annotations

import math
from typing import Any, Final

from graphport.contracts.node import PortSpec
from graphport.core.errors import NodeError
from graphport.graph.authoring import node, node_type_of
from graphport.graph.port_types import shown
from graphport.nodes._values import media

_SIDES: Final = ("x", "y", "width", "height")


@node(
    inputs=[
        PortSpec(
            name="image",
            type="image",
            required=True,
            external=True,
            description="Encoded bytes, their base64 text, an address, or a map that describes the image.",
        ),
        PortSpec(
            name="bounds",
            type="json",
            description="What part of the screen it shows: a map of `x`, `y`, `width` and `height`, in pixels.",
        ),
    ],
    outputs=[
        PortSpec(name="image", type="image", description="The image as it was given."),
        PortSpec(name="bounds", type="json", description="The bounds as they were given, or null."),
    ],
    category="input",
    execution="inline",
    trusted=True,
)
def image_input(image: Any, bounds: Any) -> dict[str, Any]:
    """Gives an image and, if known, what part of the screen it shows. The image is not decoded.

    Raises:
        NodeError: `missing_input` if there is no image; `invalid_input` if it cannot be one, or if the bounds are
            no map of four finite numbers.
    """
    if image is None:
        raise NodeError("image-input: there is no image.", code="missing_input")
    media(image, "image-input", "an image")
    if bounds is not None and not (isinstance(bounds, dict) and all(_is_length(bounds.get(side)) for side in _SIDES)):
        raise NodeError(
            f"image-input: `bounds` should be a map of x, y, width and height in pixels, got {shown(bounds)}.",
            code="invalid_input",
        )
    return {"image": image, "bounds": bounds}


def _is_length(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


NODE = node_type_of(image_input)
