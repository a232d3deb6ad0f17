"""audio-input: a sound from the demand, an edge or the graph. Runs inline, pure."""

from __future__ import annotations

from typing import Any

from graphport.contracts.node import PortSpec
from graphport.core.errors import NodeError
from graphport.graph.authoring import node, node_type_of
from graphport.nodes._values import media


@node(
    inputs=[
        PortSpec(
            name="audio_data",
            type="audio",
            required=True,
            external=True,
            description="Encoded bytes, their base64 text, an address, or a map that describes the sound.",
        )
    ],
    outputs=[PortSpec(name="audio", type="audio", description="The sound as it was given.")],
    category="input",
    execution="inline",
    trusted=True,
)
def audio_input(audio_data: Any) -> Any:
    """Gives a sound. It is not decoded.

    Raises:
        NodeError: `missing_input` if there is none; `invalid_input` if it cannot be a sound.
    """
    if audio_data is None:
        raise NodeError("audio-input: there is no sound.", code="missing_input")
    return media(audio_data, "audio-input", "a sound")


NODE = node_type_of(audio_input)
