"""Node types with names and ports that are hard to write: in Python, in drawings, in JSON. They run nothing."""

from __future__ import annotations

from typing import Any

from graphport.contracts.node import PortSpec
from graphport.graph.authoring import node

INPUTS = [
    PortSpec(name="plain", type="any"),
    PortSpec(name="class", type="any"),
    PortSpec(name="self", type="any"),
    PortSpec(name="id", type="any"),
    PortSpec(name='with "quotes"\nand more', type="any"),
    PortSpec(name="größe", type="any"),
    PortSpec(name="many", type="any", multiple=True),
]
OUTPUTS = [PortSpec(name="value", type="any"), PortSpec(name="]-->|`", type="any")]
TYPES = ("plain-type", "class", "add", "pop", 'quo"te\n', "größe", "a.b", "a-b", "a_b", "__init__")


def nothing(inputs: dict[str, Any]) -> dict[str, Any]:
    """Gives its first input."""
    return {port.name: inputs["plain"] for port in OUTPUTS}


def _declared(name: str) -> Any:
    def work(inputs: dict[str, Any]) -> dict[str, Any]:
        return nothing(inputs)

    return node(type=name, inputs=INPUTS, outputs=OUTPUTS)(work)


plain_type, klass, add, pop, quoted, groesse, dotted, dashed, underscored, dunder = map(_declared, TYPES)
