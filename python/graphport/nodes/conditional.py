"""conditional: a gate that sends a value one of two ways; the way not taken is dead. Runs inline, pure."""

from __future__ import annotations

from typing import Any

from graphport.contracts.node import PortSpec
from graphport.core.errors import NodeError
from graphport.graph.authoring import node, node_type_of
from graphport.graph.port_types import shown


@node(
    inputs=[
        PortSpec(
            name="condition",
            type="boolean",
            required=True,
            description="True sends the value to `true_out`; false, and nothing, to `false_out`.",
        ),
        PortSpec(name="value", type="any", description="What is sent on."),
    ],
    outputs=[
        PortSpec(name="true_out", type="any", description="The value, if the condition is true; else dead."),
        PortSpec(name="false_out", type="any", description="The value, if the condition is false; else dead."),
    ],
    category="logic",
    execution="inline",
    gate=True,
    trusted=True,
)
def conditional(condition: bool | None, value: Any) -> dict[str, Any]:
    """Sends a value to `true_out` or to `false_out`. What hangs on the other is not run.

    Raises:
        NodeError: `invalid_input` if the condition is neither true nor false nor null.
    """
    if condition is not None and not isinstance(condition, bool):
        raise NodeError(
            f"conditional: the condition should be true or false, got {shown(condition)}.",
            code="invalid_input",
        )
    return {"true_out" if condition else "false_out": value}


NODE = node_type_of(conditional)
