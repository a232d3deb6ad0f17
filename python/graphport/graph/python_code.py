"""Writes a graph as a Python program that builds the same graph with the builder. Never runs it.

The program connects explicitly, so that it says all there is. Called by the builder and by `graphport convert`.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import WireError
from graphport.graph.json_shapes import check_ends
from graphport.graph.method_names import is_name
from graphport.graph.port_types import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphport.graph.catalogue import Catalogue
    from graphport.graph.model import Edge, Graph, Node

_WIDTH: Final = 110
_INDENT: Final = "    "
# Python's parser gives up at 200 open brackets.
_LEVELS_MOST: Final = 60


def to_python(graph: Graph, catalogue: Catalogue, methods: Mapping[str, str], node_modules: Sequence[str] = ()) -> str:
    """The program, as text; its last line makes the graph a variable `graph`.

    Args:
        graph: ids must differ, and edges join nodes that exist.
        catalogue: says which values are inputs; a type that it lacks is written down too, but the program needs it.
        methods: method name of a builder → node type.
        node_modules: modules that the program's builder loads node types from.

    Raises:
        GraphInvalid: an id is used twice, or an edge leads to or from a node that does not exist.
        WireError: `unencodable_value` if a value is no plain data, or nested too deeply to be written in Python.
    """
    check_ends(graph)
    type_methods = {name: method for method, name in methods.items()}
    options = [f"nodes={_literal(list(node_modules))}"] if node_modules else []
    paragraphs = [
        ["builder = " + _call("GraphBuilder", [*options, "auto_connect=False"])],
        [_node(node, catalogue, type_methods.get(node.type)) for node in graph.nodes],
        [_edge(edge) for edge in graph.edges],
        [_call("builder.settings", _values(graph.settings, list(graph.settings)))] if graph.settings else [],
        [_call("builder.about", [_literal(graph.model_extra)])] if graph.model_extra else [],
        ["graph = builder.graph()"],
    ]
    body = "\n\n".join("\n".join(lines) for lines in paragraphs if lines)
    head = "import datetime\n\n" if "datetime." in body else ""
    return f"{head}from graphport import GraphBuilder\n\n{body}\n"


def _node(node: Node, catalogue: Catalogue, method: str | None) -> str:
    node_type = catalogue.get(node.type)
    inputs = {port.name for port in node_type.spec.inputs} if node_type is not None else set()
    # What is no input, such as an editor's label, would be taken for a slip among the keywords.
    named = [key for key in node.data if key in inputs and is_name(key)]
    other = {key: value for key, value in node.data.items() if key not in named}
    extra = dict(node.model_extra or {})
    if node.position is not None:
        extra["position"] = node.position
    places = [_literal(node.id)]
    if other or extra:
        places.append(_literal(other))
    if extra:
        places.append(_literal(extra))
    if method is None:
        places.insert(0, _literal(node.type))
    return _call(f"builder.{method or 'add'}", [*places, *_values(node.data, named)])


def _edge(edge: Edge) -> str:
    ends = [_literal(end) for end in (edge.source, edge.source_handle, edge.target, edge.target_handle)]
    extra = [_literal(edge.model_extra)] if edge.model_extra else []
    return _call("builder.connect", [*ends, *extra])


def _values(values: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """Keyword arguments; with a name that Python cannot write, all of them as one map to unpack."""
    wanted = {key: values[key] for key in keys}
    if all(is_name(key) for key in wanted):
        return [f"{key}={_literal(value)}" for key, value in wanted.items()]
    return [f"**{_literal(wanted)}"]


def _call(name: str, arguments: Sequence[str]) -> str:
    line = f"{name}({', '.join(arguments)})"
    if len(line) <= _WIDTH and "\n" not in line:
        return line
    inner = "".join(f"{_INDENT}{_indented(argument)},\n" for argument in arguments)
    return f"{name}(\n{inner})"


def _indented(text: str) -> str:
    return text.replace("\n", f"\n{_INDENT}")


def _literal(value: Any, levels: int = _LEVELS_MOST) -> str:
    """A value as Python writes it. No line break in it stands inside a string."""
    kind = type(value)
    if kind is str:
        return _text(value)
    if value is None or kind is bool or kind is bytes:
        return repr(value)
    if kind is int:
        # Python refuses to write more digits than this in decimals.
        return repr(value) if value.bit_length() < 8_192 else hex(value)
    if kind is float:
        return repr(value) if math.isfinite(value) else f'float("{value!r}")'
    if kind in _DATES and type(getattr(value, "tzinfo", None)) in _ZONES:
        return repr(value)
    if levels and kind in _BRACKETS:
        return _items(value, levels)
    reason = "is nested too deeply" if kind in _BRACKETS else "is no plain data"
    raise WireError(f"The value {shown(value)} cannot be written in Python: it {reason}.", code="unencodable_value")


_DATES: Final = frozenset({dt.datetime, dt.date, dt.time})
_ZONES: Final = frozenset({type(None), dt.timezone})
_BRACKETS: Final[dict[type, str]] = {dict: "{}", list: "[]", tuple: "()", set: "{}", frozenset: "{}"}


def _items(value: Any, levels: int) -> str:
    kind = type(value)
    if kind is dict:
        items = [f"{_literal(key, levels - 1)}: {_literal(item, levels - 1)}" for key, item in value.items()]
    elif kind in (set, frozenset):
        if not value:
            return f"{kind.__name__}()"
        items = sorted(_literal(item, levels - 1) for item in value)
    else:
        items = [_literal(item, levels - 1) for item in value]
    brackets = _BRACKETS[kind]
    line = ", ".join(items) + ("," if kind is tuple and len(items) == 1 else "")
    if len(line) > _WIDTH - 8 or "\n" in line:
        line = "\n" + "".join(f"{_INDENT}{_indented(item)},\n" for item in items)
    text = f"{brackets[0]}{line}{brackets[1]}"
    return f"frozenset({text})" if kind is frozenset else text


def _text(value: str) -> str:
    """A string; one of several lines as several strings that Python joins."""
    lines = value.splitlines(keepends=True)
    if len(lines) < 2 or len(value) <= _WIDTH // 2:
        return _quoted(value)
    return "(\n" + "".join(f"{_INDENT}{_quoted(line)}\n" for line in lines) + ")"


def _quoted(value: str) -> str:
    """Like `repr`, but in double quotes where that takes no escaping; invisible characters are escaped."""
    text = repr(value)
    if text[0] == "'" and '"' not in value and "'" not in value:
        return f'"{text[1:-1]}"'
    return text
