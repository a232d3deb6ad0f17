"""Reads the two shapes in which Workglow saves a graph, by turning them into our own. `read` calls this first.

- tasks and dataflows: `{"tasks": [{"id", "type", "defaults"}], "dataflows": [{"sourceTaskId", "sourceTaskPortId",
  "targetTaskId", "targetTaskPortId"}]}`; older files say `nodes`, `edges` and `input` instead.
- dependencies: `[{"id", "type", "defaults", "dependencies": {port: {"id", "output"} or a list of these}}]`, also as
  `{"tasks": [...]}` where settings go with it.

Pure; nothing here raises because of its input. Written again by `json_shapes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphport.graph.model import Fault
from graphport.graph.port_types import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

# The ends of a dataflow: their names in our edges, and Workglow's.
ENDS: Final = (
    ("source", "sourceTaskId"),
    ("source_handle", "sourceTaskPortId"),
    ("target", "targetTaskId"),
    ("target_handle", "targetTaskPortId"),
)
_VALUES: Final = ("defaults", "input")
_INNER_GRAPHS: Final = ("subtasks", "subgraph")


def is_workglow(raw: Any) -> bool:
    """Whether data has one of Workglow's shapes. Looks at the first items alone."""
    if isinstance(raw, list):
        return bool(raw) and all(isinstance(item, dict) for item in raw)
    if not isinstance(raw, dict):
        return False
    if "nodes" not in raw:
        return isinstance(raw.get("tasks"), list)
    if "edges" not in raw and "dataflows" in raw:
        return True
    edge, node = _first(raw.get("edges")), _first(raw["nodes"])
    if edge is not None:
        return "sourceTaskId" in edge and "source" not in edge
    return node is not None and "data" not in node and any(isinstance(node.get(key), dict) for key in _VALUES)


def own_shape(raw: Any) -> tuple[dict[str, Any], list[Fault]]:
    """Turn data for which `is_workglow` holds into our shape; what cannot be turned is a fault and left out."""
    faults: list[Fault] = []
    if isinstance(raw, list):
        raw = {"tasks": raw}
    rest = {key: value for key, value in raw.items() if key not in ("tasks", "nodes", "dataflows", "edges")}
    items = raw.get("nodes", raw.get("tasks"))
    flows = raw.get("edges", raw.get("dataflows"))
    nodes, edges = items, flows
    if isinstance(flows, list):
        edges = [_edge(item) for item in flows]
    if isinstance(items, list):
        nodes = [_node(item, faults) for item in items]
        tasks = items if "tasks" in raw else ()
        found = [edge for item in tasks if isinstance(item, dict) for edge in _dependencies(item, faults)]
        if found and (edges is None or isinstance(edges, list)):
            edges = [*(edges or ()), *found]
    return {**rest, "nodes": nodes, "edges": edges}, faults


def _first(items: Any) -> dict[str, Any] | None:
    first = items[0] if isinstance(items, list) and items else None
    return first if isinstance(first, dict) else None


def _node(item: Any, faults: list[Fault]) -> Any:
    if not isinstance(item, dict):
        return item
    inner = next((key for key in _INNER_GRAPHS if item.get(key)), None)
    if inner is not None:
        _wrong(faults, item, f"holds a graph of its own (`{inner}`), which cannot be read")
    fields = {key: value for key, value in item.items() if key not in (*_VALUES, "dependencies", *_INNER_GRAPHS)}
    given = next((item[key] for key in _VALUES if item.get(key) is not None), None)
    if given is not None and fields.get("data") is None:
        fields["data"] = given
    return fields


def _edge(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    fields = dict(item)
    for ours, theirs in ENDS:
        if theirs in fields:
            fields[ours] = fields.pop(theirs)
    return fields


def _dependencies(item: dict[str, Any], faults: list[Fault]) -> Iterator[dict[str, Any]]:
    wanted = item.get("dependencies")
    if wanted is None:
        return
    if not isinstance(wanted, dict):
        _wrong(faults, item, f"is wrong: `dependencies` should be a map of inputs, got {shown(wanted)}")
        return
    for port, sources in wanted.items():
        for source in sources if isinstance(sources, list) else [sources]:
            lacking = _lacking(source)
            if lacking is not None:
                _wrong(faults, item, f"is wrong: what its input {port!r} depends on {lacking}")
                continue
            rest = {key: value for key, value in source.items() if key not in ("id", "output")}
            ends = {"source": source["id"], "source_handle": source["output"], "target": item.get("id")}
            yield {**rest, **ends, "target_handle": port}


def _lacking(source: Any) -> str | None:
    if not isinstance(source, dict):
        return f"should be a map of `id` and `output`, got {shown(source)}"
    for key in ("id", "output"):
        value = source.get(key)
        if value is None or value == "":
            return f"has no `{key}`"
        if not isinstance(value, str):
            return f"has an `{key}` that is no string: {shown(value)}"
    return None


def _wrong(faults: list[Fault], item: dict[str, Any], what: str) -> None:
    node_id = item.get("id")
    named = isinstance(node_id, str) and bool(node_id)
    name = f"Node {node_id!r}" if named else "A node without an id"
    faults.append(Fault("bad_message", f"{name} {what}.", node_id if named else None))
