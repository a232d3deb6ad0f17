"""Puts together what comes to a node over edges. Called by `run` and `identities`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphport.demand.memo import Outputs
    from graphport.graph.plan import Edge


def collect(edges: tuple[Edge, ...], results: list[Outputs | None], inputs: dict[str, Any]) -> dict[str, list[Any]]:
    """Put what comes over single edges into `inputs`; returns the values of ports that take many, live ones only."""
    collected: dict[str, list[Any]] = {}
    last = ""
    values: list[Any] = []
    for source, port, into, many in edges:
        outputs: Outputs = results[source]  # type: ignore[assignment]
        if not many:
            inputs[into] = outputs[port]
        elif port in outputs:
            if into is not last:
                last, values = into, collected.setdefault(into, [])
            values.append(outputs[port])
    return collected
