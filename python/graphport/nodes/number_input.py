"""number-input: a number from the demand, an edge or the graph. Runs inline, pure."""

from __future__ import annotations

import math
from typing import Any

from graphport.contracts.node import PortSpec
from graphport.core.errors import NodeError
from graphport.graph.authoring import node, node_type_of
from graphport.graph.port_types import shown


@node(
    # `any`, because a text that reads as a number is as good as a number.
    inputs=[PortSpec(name="value", type="any", required=True, external=True, description="A number, or its text.")],
    outputs=[PortSpec(name="value", type="number", description="The number; an integer stays one.")],
    category="input",
    execution="inline",
    trusted=True,
)
def number_input(value: Any) -> int | float:
    """Gives a finite number; a text such as "2.5" counts as the number it reads as.

    Raises:
        NodeError: `invalid_input` for other texts, infinity, NaN and everything else.
    """
    number = _parsed(value.strip()) if isinstance(value, str) else value
    if isinstance(number, bool) or not (
        isinstance(number, int) or (isinstance(number, float) and math.isfinite(number))
    ):
        raise NodeError(f"number-input: expected a finite number, got {shown(value)}.", code="invalid_input")
    return number


def _parsed(text: str) -> int | float | None:
    # Python would also read "1_000", which no other tool that writes graphs does.
    if "_" in text:
        return None
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return None


NODE = node_type_of(number_input)
