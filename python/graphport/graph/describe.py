"""Turns a node's spec into plain data: what programs are told when they ask which nodes there are.

Every map has the same keys for every node, and holds nothing but what JSON can say. Pure. Called by whoever answers
such a question: the wire, the command line, and the script that writes the pages of the core nodes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from graphport.graph.port_types import shown

if TYPE_CHECKING:
    from graphport.contracts.node import NodeSpec, PortSpec

# A default nested deeper than this is shown as text; none is, and a list that holds itself must end somewhere.
_LEVELS_MOST: Final = 20
_INTEGER_LIMIT: Final = 2**63


def describe(spec: NodeSpec) -> dict[str, Any]:
    """A spec as JSON can say it.

    Defaults and choices that JSON has no form for, which only nodes written in Python can have, are given as text.
    """
    return {
        "type": spec.type,
        "version": spec.version,
        "title": spec.title,
        "category": spec.category,
        "description": spec.description,
        "inputs": [_input(port) for port in spec.inputs],
        "outputs": [_output(port) for port in spec.outputs],
        "effect": spec.effect,
        "execution": spec.execution,
        "gate": spec.gate,
        "content_digest": spec.content_digest,
        "timeout_ms": spec.timeout_ms,
        "services": list(spec.services),
    }


def _input(port: PortSpec) -> dict[str, Any]:
    return {
        "name": port.name,
        "type": port.type,
        "required": port.required,
        "default": _plain(port.default),
        "min": _plain(port.min),
        "max": _plain(port.max),
        "choices": None if port.choices is None else [_plain(choice) for choice in port.choices],
        "multiple": port.multiple,
        "external": port.external,
        "hidden": port.hidden,
        "setting": port.setting,
        "description": port.description,
    }


def _output(port: PortSpec) -> dict[str, Any]:
    return {
        "name": port.name,
        "type": port.type,
        "stream": port.stream,
        "hidden": port.hidden,
        "description": port.description,
    }


def _plain(value: Any, levels: int = _LEVELS_MOST) -> Any:
    """The value, with everything in it that JSON cannot say replaced by text."""
    if value is None or type(value) in (str, bool):
        return value
    if type(value) is int:
        # Larger integers are valid JSON, but most readers of JSON round them.
        return value if -_INTEGER_LIMIT <= value < _INTEGER_LIMIT else shown(value)
    if type(value) is float:
        return value if math.isfinite(value) else shown(value)
    if levels and type(value) in (list, tuple):
        return [_plain(item, levels - 1) for item in value]
    if levels and type(value) is dict and all(type(key) is str for key in value):
        return {key: _plain(item, levels - 1) for key, item in value.items()}
    return shown(value)
