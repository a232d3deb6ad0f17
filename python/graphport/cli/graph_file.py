"""Reads a graph from a file and says where in it something stands. Raises `Misuse` for a file that cannot be read."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphport.cli.output import Misuse
from graphport.core.errors import GraphInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,\n]|[^\s{}\[\]:,"]+', re.DOTALL)
# What nodes and edges are called in our shape, and in Workglow's.
_LISTS: Final = (("nodes", "tasks"), ("edges", "dataflows"))
# For each end of an edge: how our shape, React Flow's and Workglow's name its node and its port.
_ENDS: Final = tuple(
    ((end, f"{end}TaskId"), (f"{end}_handle", f"{end}Handle", f"{end}TaskPortId")) for end in ("source", "target")
)
_FAULTS_OF_EDGES: Final = frozenset({"dangling_edge", "duplicate_edge", "incompatible_ports"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFile:
    """A graph as it stands in a file.

    Attributes:
        name: the file's name for messages.
        text: what is in it.
        raw: that, decoded.
    """

    name: str
    text: str
    raw: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A fault and the lines it stands in, as far as they are known."""

    code: str
    message: str
    node: str | None = None
    port: str | None = None
    lines: tuple[int, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """The fault as JSON can say it; `line` is the first of `lines`."""
        line = self.lines[0] if self.lines else None
        fields = {"code": self.code, "message": self.message, "node": self.node, "port": self.port, "line": line}
        return fields | {"lines": list(self.lines)}


@dataclass(slots=True)
class _Frame:
    """An open `{` or `[`."""

    opened_by: str
    key: str = ""
    index: int = 0
    path: tuple[str, ...] = field(default=())


def read_graph_file(path: str) -> GraphFile:
    """Read a file; `-` is standard input.

    Raises:
        Misuse: the file cannot be read.
        GraphInvalid: it is not JSON.
    """
    name = "standard input" if path == "-" else path
    try:
        found = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise Misuse(f"{name} cannot be read: {error.strerror or error}.") from error
    try:
        text = found.decode("utf-8-sig")
        raw = json.loads(text)
    except UnicodeDecodeError as error:
        line = found.count(b"\n", 0, error.start) + 1
        raise _no_json(
            f"The file is no UTF-8 text: line {line} has the byte 0x{found[error.start]:02x}.", line
        ) from None
    except json.JSONDecodeError as error:
        message = f"The file is no JSON: {error.msg}, line {error.lineno}, column {error.colno}."
        raise _no_json(message, error.lineno) from None
    except (RecursionError, ValueError) as error:
        # Nested too deeply, or a number of too many digits.
        raise _no_json(f"The file's JSON cannot be read: {error}.", None) from None
    return GraphFile(name=name, text=text, raw=raw)


def _no_json(message: str, line: int | None) -> GraphInvalid:
    fault: dict[str, Any] = {"code": "bad_message", "message": message}
    if line is not None:
        fault["line"] = line
    return GraphInvalid(message, details={"faults": [fault]})


def locate(error: GraphInvalid, file: GraphFile | None) -> list[Located]:
    """The faults in an error, with their places in the file."""
    faults: list[dict[str, Any]] = (error.details or {}).get("faults", [])
    places = None if file is None else _Places(file)
    located = []
    for fault in faults:
        lines: tuple[int, ...] = (fault["line"],) if "line" in fault else ()
        if places is not None:
            lines = places.of(fault)
        located.append(
            Located(
                code=fault["code"],
                message=fault["message"],
                node=fault.get("node"),
                port=fault.get("port"),
                lines=lines,
            )
        )
    return located


class _Places:
    """Where the nodes and edges of a file stand: line numbers by id, and by the ends of edges."""

    def __init__(self, file: GraphFile) -> None:
        self._nodes: dict[str, list[int]] = {}
        self._edges: dict[tuple[str, str | None], list[int]] = {}
        raw: Any = file.raw
        prefix: tuple[str, ...] = ()
        if isinstance(raw, dict) and raw.keys().isdisjoint(_LISTS[0]) and isinstance(raw.get("graph"), dict):
            raw, prefix = raw["graph"], ("graph",)
        # A list alone is one of nodes.
        paths: list[tuple[str, ...]] = [(), ("edges",)]
        if isinstance(raw, dict):
            paths = [(*prefix, next((name for name in names if name in raw), names[0])) for names in _LISTS]
        elif not isinstance(raw, list):
            return
        lines = _lines_of_items(file.text, set(paths))
        for index, node in _items(raw, paths[0]):
            if isinstance(node.get("id"), str):
                self._nodes.setdefault(node["id"], []).append(lines[paths[0], index])
        for index, edge in _items(raw, paths[1]):
            line = lines[paths[1], index]
            for nodes, ports in _ENDS:
                node_id, port = (next((edge[key] for key in keys if edge.get(key)), None) for keys in (nodes, ports))
                if isinstance(node_id, str):
                    self._edges.setdefault((node_id, None), []).append(line)
                    if isinstance(port, str):
                        self._edges.setdefault((node_id, port), []).append(line)

    def of(self, fault: Mapping[str, str]) -> tuple[int, ...]:
        """Lines of what a fault names: the edges, if it is a fault of edges, else the node."""
        node = fault.get("node")
        if node is None:
            return ()
        edges = self._edges.get((node, fault.get("port")), [])
        nodes = self._nodes.get(node, [])
        first, second = (edges, nodes) if fault["code"] in _FAULTS_OF_EDGES else (nodes, edges)
        return tuple(dict.fromkeys(first or second))


def _items(raw: Any, path: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    found = raw.get(path[-1]) if path and isinstance(raw, dict) else None if path else raw
    for index, item in enumerate(found if isinstance(found, list) else ()):
        if isinstance(item, dict):
            yield index, item


def _lines_of_items(text: str, wanted: set[tuple[str, ...]]) -> dict[tuple[tuple[str, ...], int], int]:
    """The line in which each item of the wanted lists begins. The text is known to be JSON; no recursion."""
    lines: dict[tuple[tuple[str, ...], int], int] = {}
    stack: list[_Frame] = []
    line, last = 1, ""
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token == "\n":
            line += 1
            continue
        top = stack[-1] if stack else None
        if top is not None and top.opened_by == "[" and top.path in wanted and token not in ",]":
            lines.setdefault((top.path, top.index), line)
        if token in "{[":
            # A list inside a list has no name of its own, and is none of those that are wanted.
            inside = () if top is None else (*top.path, top.key if top.opened_by == "{" else "[")
            stack.append(_Frame(token, path=inside))
        elif token in "}]":
            stack.pop()
        elif top is not None and token == ",":
            top.index += 1
        elif top is not None and token == ":":
            top.key = json.loads(last)
        last = token
    return lines
