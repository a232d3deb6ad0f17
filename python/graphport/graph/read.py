"""Reads a graph from plain data: our own shape, and those that React Flow, Pantograph and Workglow save.

A wrong shape becomes a fault with a sentence; nothing here raises because of its input. What the graph means
(types, ports, cycles) is judged by `validate`, whose `load_graph` calls this.

What is read besides our own shape:
- `{"graph": {...}}` around the graph;
- Workglow's tasks with dataflows or dependencies (`workglow`), and Pantograph's groups (`groups`);
- `sourceHandle` and `targetHandle` for `source_handle` and `target_handle`;
- a node's type from, in this order, `node_type`, `nodeType`, `data.node_type`, `data.nodeType`, `type`; that
  comes last because React Flow keeps the name of a drawing component there;
- graphs in which no node has a type: then the id without its last `-part` is the type (`text-input-1`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from graphport.graph.groups import has_groups, opened
from graphport.graph.model import Edge, Fault, Graph, Node
from graphport.graph.port_types import shown
from graphport.graph.size import raw_size_faults
from graphport.graph.workglow import is_workglow, own_shape

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from pydantic_core import ErrorDetails

_Item = TypeVar("_Item", Node, Edge)

_TYPE_KEYS_IN_ORDER: Final = ("node_type", "nodeType")
_TYPE_KEYS: Final = frozenset(_TYPE_KEYS_IN_ORDER)
_HANDLES: Final = (("source_handle", "sourceHandle"), ("target_handle", "targetHandle"))
_AT_ONCE: Final = 512
_NODES: Final = TypeAdapter(list[Node])
_EDGES: Final = TypeAdapter(list[Edge])


@dataclass(slots=True)
class Reading:
    """What could be read of a graph.

    Attributes:
        graph: the nodes and edges whose shape is right.
        faults: everything whose shape is wrong.
        broken_nodes: ids of nodes that are in the text but not in `graph`.
        nameless_nodes: whether a node is missing from `graph` whose id could not be read.
        broken_edges: whether an edge is missing from `graph`.
    """

    graph: Graph = field(default_factory=Graph)
    faults: list[Fault] = field(default_factory=list)
    broken_nodes: set[str] = field(default_factory=set)
    nameless_nodes: bool = False
    broken_edges: bool = False


def read_graph(raw: Any, known: Container[str] = ()) -> Reading:
    """Read a graph from plain data.

    Args:
        raw: the decoded JSON or MessagePack value.
        known: names of node types; a node without a type whose id is such a name is of that type.
    """
    reading = Reading()
    if isinstance(raw, dict) and raw.keys().isdisjoint(("nodes", "tasks")) and isinstance(raw.get("graph"), dict):
        raw = raw["graph"]
    if _is_too_large(raw, reading):
        return reading
    if is_workglow(raw):
        raw, reading.faults = own_shape(raw)
        reading.broken_edges = bool(reading.faults)
    if has_groups(raw):
        raw = opened(raw)
        if _is_too_large(raw, reading):
            return reading
    if not isinstance(raw, dict):
        _wrong(reading, f"A graph is a map with `nodes` and `edges`, got {shown(raw)}.")
        return reading
    nodes = _nodes(_list(reading, raw, "nodes", optional=False), known, reading)
    edges = _edges(_list(reading, raw, "edges", optional=True), reading)
    rest = {key: value for key, value in raw.items() if isinstance(key, str) and key not in Graph.model_fields}
    reading.graph = Graph.model_construct(
        nodes=tuple(nodes),
        edges=tuple(edges),
        settings=_settings(raw, reading),
        **rest,
    )
    return reading


def read_nodes(items: list[Any]) -> tuple[list[Node | None], list[tuple[int, str]]]:
    """Nodes by themselves, which must say their type. Where one is wrong there is None, and its place and problem."""
    return _aligned(_NODES, [_node_fields(item) for item in items])


def read_edges(items: list[Any]) -> tuple[list[Edge | None], list[tuple[int, str]]]:
    """Edges by themselves. Where one is wrong there is None, and its place and problem."""
    return _aligned(_EDGES, [_edge_fields(item) for item in items])


def _aligned(adapter: TypeAdapter[list[_Item]], fields: list[Any]) -> tuple[list[_Item | None], list[tuple[int, str]]]:
    sound, problems = _read_all(adapter, fields)
    wrong = {index for index, _ in problems}
    rest = iter(sound)
    return [None if index in wrong else next(rest) for index in range(len(fields))], problems


def _is_too_large(raw: Any, reading: Reading) -> bool:
    found = raw_size_faults(raw)
    reading.faults += found
    return bool(found)


def _wrong(reading: Reading, message: str, node: str | None = None) -> None:
    reading.faults.append(Fault("bad_message", message, node))


def _list(reading: Reading, raw: Mapping[str, Any], key: str, *, optional: bool) -> list[Any]:
    found = raw.get(key)
    if found is None and optional:
        return []
    if isinstance(found, list | tuple):
        return list(found)
    said = f"got {shown(found)}" if key in raw else "got none"
    _wrong(reading, f"The graph's `{key}` should be a list, {said}.")
    if key == "nodes":
        reading.nameless_nodes = True
    else:
        reading.broken_edges = True
    return []


def _settings(raw: Mapping[str, Any], reading: Reading) -> dict[str, Any]:
    found = raw.get("settings")
    if found is None:
        return {}
    if isinstance(found, dict) and all(isinstance(key, str) for key in found):
        return found
    _wrong(reading, f"The graph's `settings` should be a map with strings as keys, got {shown(found)}.")
    return {}


def _nodes(items: list[Any], known: Container[str], reading: Reading) -> list[Node]:
    fields = [_node_fields(item) for item in items]
    if not any(isinstance(item, dict) and item.get("type") is not None for item in fields):
        fields = [_typed_by_id(item, known) for item in fields]
    nodes, errors = _read_all(_NODES, fields)
    for index, problem in errors:
        node_id = _word(fields[index], "id")
        name = f"Node {node_id!r}" if node_id else f"Node number {index + 1}"
        _wrong(reading, f"{name} {problem}.", node_id)
        if node_id:
            reading.broken_nodes.add(node_id)
        else:
            reading.nameless_nodes = True
    return nodes


def _edges(items: list[Any], reading: Reading) -> list[Edge]:
    fields = [_edge_fields(item) for item in items]
    edges, errors = _read_all(_EDGES, fields)
    for index, problem in errors:
        ends = [_word(fields[index], key) for key in ("source", "target")]
        name = f"Edge number {index + 1}"
        if all(ends):
            name += f" ({ends[0]} → {ends[1]})"
        _wrong(reading, f"{name} {problem}.", ends[1] or ends[0])
        reading.broken_edges = True
    return edges


def _node_fields(item: Any) -> Any:
    """The node with its type under `type`; what is no map is left for the check to name."""
    if not isinstance(item, dict):
        return item
    data = item.get("data", item)
    if isinstance(data, dict) and _TYPE_KEYS.isdisjoint(item) and _TYPE_KEYS.isdisjoint(data):
        return item
    inner = data if isinstance(data, dict) else {}
    given = (holder.get(key) for holder in (item, inner) for key in _TYPE_KEYS_IN_ORDER)
    named = next((one for one in given if one is not None), None)
    fields = {key: value for key, value in item.items() if key not in _TYPE_KEYS}
    if named is not None:
        fields["type"] = named
    if data is None:
        fields["data"] = {}
    return fields


def _typed_by_id(item: Any, known: Container[str]) -> Any:
    """Pantograph's rule, for graphs in which no node says its type."""
    node_id = _word(item, "id")
    if not node_id:
        return item
    if node_id in known:
        return {**item, "type": node_id}
    return {**item, "type": node_id.rpartition("-")[0] or node_id}


def _edge_fields(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    if "sourceHandle" not in item and "targetHandle" not in item:
        return item
    fields = dict(item)
    for ours, theirs in _HANDLES:
        handle = fields.pop(theirs, None)
        if fields.get(ours) is None:
            fields[ours] = handle
    return fields


def _word(item: Any, key: str) -> str | None:
    found = item.get(key) if isinstance(item, dict) else None
    return found if isinstance(found, str) and found else None


def _read_all(adapter: TypeAdapter[list[_Item]], fields: list[Any]) -> tuple[list[_Item], list[tuple[int, str]]]:
    """Check many at once, which is fast, but not so many that threads beside this one must wait for long.

    Returns:
        The sound ones, and what is wrong with the others, by their index.
    """
    sound: list[_Item] = []
    problems: list[tuple[int, str]] = []
    for first in range(0, len(fields), _AT_ONCE):
        some = fields[first : first + _AT_ONCE]
        try:
            sound += adapter.validate_python(some)
        except ValidationError as error:
            found = [_problem(detail) for detail in error.errors(include_url=False, include_context=False)]
            wrong = {index for index, _ in found}
            sound += adapter.validate_python([item for index, item in enumerate(some) if index not in wrong])
            problems += [(first + index, problem) for index, problem in found]
    return sound, problems


_SHOULD_BE: Final = {
    "string_type": "a string",
    "dict_type": "a map",
    "model_type": "a map",
    "string_unicode": "valid Unicode",
}


def _problem(detail: ErrorDetails) -> tuple[int, str]:
    """One complaint of the model, as the position of its item and a clause that continues "Node 'a' …"."""
    index, *where = detail["loc"]
    kind, given = detail["type"], detail["input"]
    name = f"`{_path(where)}`"
    if kind == "missing" or (given is None and where):
        text = f"has no {name}"
    elif kind == "string_too_short":
        text = f"has an empty {name}"
    elif kind == "invalid_key" or (where and where[-1] == "[key]"):
        text = f"has a key that is no string: {shown(given)}"
    elif kind in _SHOULD_BE:
        subject = f"{name} " if where else ""
        text = f"is wrong: {subject}should be {_SHOULD_BE[kind]}, got {shown(given)}"
    else:
        text = f"is wrong: {name}: {detail['msg']}"
    return int(index), text


def _path(where: Iterable[Any]) -> str:
    return ".".join(str(part) for part in where)
