"""audio-output: the end of a sound's way through a graph. Runs inline, pure."""

from __future__ import annotations

from typing import Any

from graphport.contracts.node import PortSpec
from graphport.graph.authoring import node, node_type_of
from graphport.nodes._values import media


@node(
    inputs=[PortSpec(name="audio", type="audio", external=True, description="The sound to play.")],
    outputs=[PortSpec(name="audio", type="audio", description="The sound as it was given, or null.")],
    category="output",
    execution="inline",
    trusted=True,
)
def audio_output(audio: Any) -> Any:
    """Gives the sound it receives, unchanged, or null if it receives nothing.

    Raises:
        NodeError: `invalid_input` if the value cannot be a sound.
    """
    return None if audio is None else media(audio, "audio-output", "a sound")


NODE = node_type_of(audio_output)
