"""masked-text-input: a text of which a model may rewrite some parts. Runs inline, pure."""

from __future__ import annotations

from typing import Any

from graphport.contracts.node import PortSpec
from graphport.core.errors import NodeError
from graphport.graph.authoring import node, node_type_of
from graphport.graph.port_types import shown


@node(
    inputs=[
        PortSpec(
            name="segments",
            type="list",
            description="Maps of `text` and `masked` (false if absent), in order; masked ones may be rewritten.",
        ),
        PortSpec(name="text", type="string", default="", description="Without segments: one masked segment."),
    ],
    outputs=[PortSpec(name="masked_prompt", type="masked_prompt", description="The segments, each complete.")],
    category="input",
    execution="inline",
    trusted=True,
)
def masked_text_input(segments: Any, text: Any) -> dict[str, Any]:
    """Gives a text in segments, each of which is to be kept or may be rewritten by a model.

    Segments outrank the text, wherever the two come from.

    Raises:
        NodeError: `invalid_input` if a segment or the text is not of its shape.
    """
    if segments is None:
        if text is not None and not isinstance(text, str):
            raise _wrong(f"`text` should be a text, got {shown(text)}")
        segments = [{"text": text or "", "masked": True}]
    elif not isinstance(segments, list | tuple):
        raise _wrong(f"`segments` should be a list of maps, got {shown(segments)}")
    complete = [_segment(place, one) for place, one in enumerate(segments)]
    return {"masked_prompt": {"type": "masked_prompt", "segments": complete}}


def _segment(place: int, segment: Any) -> dict[str, Any]:
    if not isinstance(segment, dict) or not isinstance(segment.get("text"), str):
        raise _wrong(f"segment {place} should be a map with a `text`, got {shown(segment)}")
    masked = segment.get("masked")
    if masked is not None and not isinstance(masked, bool):
        raise _wrong(f"`masked` of segment {place} should be true or false, got {shown(masked)}")
    return {"text": segment["text"], "masked": bool(masked)}


def _wrong(what: str) -> NodeError:
    return NodeError(f"masked-text-input: {what}.", code="invalid_input")


NODE = node_type_of(masked_text_input)
