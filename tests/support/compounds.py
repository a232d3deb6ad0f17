"""Graphs with graphs within them, in a short notation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.evaluation import graph

if TYPE_CHECKING:
    from collections.abc import Mapping

    Nodes = Mapping[str, str | tuple[str, dict[str, Any]]]


def inner(
    nodes: Nodes,
    *edges: str,
    inputs: Mapping[str, dict[str, Any]] | None = None,
    outputs: Mapping[str, str],
    **settings: Any,
) -> dict[str, Any]:
    """A graph with ports: `inputs` name to data of its `graph-input`, `outputs` name to the port that feeds it.

    The ids of the nodes that declare them are `in-<name>` and `out-<name>`.
    """
    declared: dict[str, str | tuple[str, dict[str, Any]]] = {}
    for name, data in (inputs or {}).items():
        declared[f"in-{name}"] = ("graph-input", {"name": name, **data})
    for name in outputs:
        declared[f"out-{name}"] = ("graph-output", {"name": name})
    feeding = [f"{source} -> out-{name}.value" for name, source in outputs.items()]
    return graph({**declared, **nodes}, *edges, *feeding, **settings)


def held(held_graph: dict[str, Any] | str, **data: Any) -> tuple[str, dict[str, Any]]:
    """A compound node."""
    return ("graph", {"graph": held_graph, **data})


def with_graphs(outer: dict[str, Any], **graphs: dict[str, Any]) -> dict[str, Any]:
    """A graph whose nodes may hold these by name."""
    return {**outer, "graphs": graphs}
