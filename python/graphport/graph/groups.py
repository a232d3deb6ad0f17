"""Opens the groups of a graph that Pantograph saved: their nodes and edges become nodes and edges of the graph.

A group is a part that the editor can fold to one node. Folded, edges lead to the group by the names of its exposed
ports; unfolded, to its nodes. Both are read. Pure; nothing here raises because of its input. Called by `read`.
"""

from __future__ import annotations

from typing import Any, Final

_PARTS: Final = ("node", "port")
_HANDLES: Final = (
    ("source", ("source_handle", "sourceHandle"), ("exposedOutputs", "exposed_outputs")),
    ("target", ("target_handle", "targetHandle"), ("exposedInputs", "exposed_inputs")),
)


def has_groups(raw: Any) -> bool:
    """Whether a graph in our shape has groups to open."""
    return isinstance(raw, dict) and isinstance(raw.get("groups"), list) and bool(raw["groups"])


def opened(raw: dict[str, Any]) -> dict[str, Any]:
    """The graph without groups. What is no group is left out; what is wrong inside one is for `read` to say."""
    groups = [group for group in raw["groups"] if isinstance(group, dict)]
    names = {group.get("id") for group in groups if isinstance(group.get("id"), str)}
    nodes, edges = raw.get("nodes"), raw.get("edges")
    if not isinstance(nodes, list) or not isinstance(edges, list | None):
        return raw
    # A folded group may stand among the nodes too, and so may what is in it.
    nodes = [node for node in nodes if _key(node, "id") not in names]
    there = {_key(node, "id") for node in nodes}
    edges = list(edges or ())
    known = {_ends(edge) for edge in edges if isinstance(edge, dict)}
    for group in groups:
        nodes += [node for node in _list(group, "nodes") if _key(node, "id") not in names | there]
        edges += [edge for edge in _list(group, "edges") if not isinstance(edge, dict) or _ends(edge) not in known]
    ports = _exposed(groups)
    edges = [_led_inside(edge, ports, len(groups)) if isinstance(edge, dict) else edge for edge in edges]
    rest = {key: value for key, value in raw.items() if key != "groups"}
    return {**rest, "nodes": nodes, "edges": edges}


def _list(holder: dict[str, Any], key: str) -> list[Any]:
    found = holder.get(key)
    return found if isinstance(found, list) else []


def _key(item: Any, key: str) -> str | None:
    found = item.get(key) if isinstance(item, dict) else None
    return found if isinstance(found, str) else None


def _handle(edge: dict[str, Any], names: tuple[str, str]) -> str | None:
    return next((edge[name] for name in names if isinstance(edge.get(name), str)), None)


def _ends(edge: dict[str, Any]) -> tuple[str | None, ...]:
    return tuple(part for end, names, _ in _HANDLES for part in (_key(edge, end), _handle(edge, names)))


def _exposed(groups: list[dict[str, Any]]) -> dict[tuple[str, str | None, str | None], tuple[str, str]]:
    """(end of an edge, group, its port) → (node, port)."""
    ports: dict[tuple[str, str | None, str | None], tuple[str, str]] = {}
    for group in groups:
        for end, _, keys in _HANDLES:
            for mapping in (one for key in keys for one in _list(group, key)):
                node, port = (_word(mapping, f"internal_{part}_id", f"internal{part.title()}Id") for part in _PARTS)
                if node is not None and port is not None:
                    name = _word(mapping, "group_port_id", "groupPortId")
                    ports[end, _key(group, "id"), name] = (node, port)
    return ports


def _word(item: Any, *keys: str) -> str | None:
    return next((found for key in keys if (found := _key(item, key)) is not None), None)


def _led_inside(
    edge: dict[str, Any], ports: dict[tuple[str, str | None, str | None], tuple[str, str]], levels: int
) -> dict[str, Any]:
    """The edge with the node behind a group's port in place of the group, through groups in groups."""
    fields = dict(edge)
    for end, names, _ in _HANDLES:
        for _level in range(levels):
            inside = ports.get((end, _key(fields, end), _handle(fields, names)))
            if inside is None:
                break
            for name in names:
                fields.pop(name, None)
            fields[end], fields[names[0]] = inside
    return fields
