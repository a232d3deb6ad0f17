"""Value types of ports: which are known, which output fits which input, and whether a value fits a port.

Must not convert values. Called by `validate` for edges and data, by `authoring` for type hints, and by the
evaluator for the inputs of a demand.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from reprlib import Repr
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.contracts.node import PortSpec

# For each input type, the output types it takes besides itself and `any`.
_ALSO_TAKES: Final[dict[str, frozenset[str]]] = {
    "prompt": frozenset({"string", "masked_prompt"}),
    "string": frozenset({"prompt", "json", "number", "integer", "boolean"}),
    "number": frozenset({"integer"}),
    "json": frozenset({"string", "number", "integer", "boolean", "list", "map", "error"}),
    "map": frozenset({"error"}),
    "stream": frozenset({"audio_stream"}),
    "audio_stream": frozenset({"stream"}),
}

# For each type whose values are checked: the Python classes, and the words for a person.
_CHECKED: Final[dict[str, tuple[frozenset[type], str]]] = {
    "string": (frozenset({str}), "a string"),
    "prompt": (frozenset({str, dict}), "a string or a masked prompt"),
    "number": (frozenset({int, float}), "a number"),
    "integer": (frozenset({int}), "an integer"),
    "boolean": (frozenset({bool}), "true or false"),
    "json": (frozenset({str, int, float, bool, list, dict}), "a JSON value"),
    "list": (frozenset({list, tuple}), "a list"),
    "map": (frozenset({dict}), "a map"),
    "error": (frozenset({dict}), "an error as a map"),
    "bytes": (frozenset({bytes, bytearray, memoryview}), "bytes"),
    "vector": (frozenset({list, tuple}), "a list of numbers"),
}

_UNCHECKED: Final = (
    "any",
    "stream",
    "audio_stream",
    "image",
    "audio",
    "masked_prompt",
    "embedding",
    "point_cloud",
    "component",
    "model_ref",
    "kv_cache",
)

# For each known type: what its values look like, for people.
SHAPES: Final[dict[str, str]] = {
    "any": "Any value.",
    "audio": "A sound: encoded bytes (WAV, MP3 …), their base64 text, an address, or a map that describes it.",
    "audio_stream": "A sound that comes in pieces.",
    "boolean": "`true` or `false`.",
    "bytes": "Bytes.",
    "component": "A component of the host's user interface: a path or name, or a map that describes it.",
    "embedding": "A list of numbers that stands for a text.",
    "error": '`{"code", "message", "node_id", "exception"}`: why a node failed; `exception` only if it raised one.',
    "image": "An image: encoded bytes (PNG, JPEG …), their base64 text, an address, or a map that describes it.",
    "integer": "A whole number; not a boolean.",
    "json": "What JSON can say: a text, a number, a boolean, a list or a map.",
    "kv_cache": "A handle of what a model remembers of a prompt.",
    "list": "A list.",
    "map": "A map with texts as keys.",
    "masked_prompt": '`{"type": "masked_prompt", "segments": [{"text", "masked"}]}`; masked segments may be rewritten.',
    "model_ref": '`{"contractVersion": 2, "engine", "modelId", "modelPath", "taskTypePrimary"}`: a model in use.',
    "number": "A number, whole or not; not a boolean.",
    "point_cloud": '`{"positions": [[x, y, z]], "colors": [[r, g, b]]}`; colours are optional, and go from 0 to 1.',
    "prompt": "A text or a masked prompt.",
    "stream": "Pieces of a value that is still being made.",
    "string": "A text.",
    "vector": "A list of numbers.",
}

KNOWN_TYPES: Final[frozenset[str]] = frozenset(_CHECKED) | frozenset(_UNCHECKED)

_NUMBERS: Final = frozenset({int, float})

_SHORT: Final = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_SHORT.maxlevel = 2
_SHOWN_MOST: Final = 120


def shown(value: Any) -> str:
    """A value as a short text for a message, in the words of JSON where it has them."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    try:
        text = _SHORT.repr(value)
    except ValueError:  # Python refuses to write out an integer of thousands of digits
        return "a number of very many digits"
    return text if len(text) <= _SHOWN_MOST else text[: _SHOWN_MOST - 1] + "…"


def fits(source: str, target: str) -> bool:
    """Whether an output of type `source` may feed an input of type `target`."""
    if source == target or source == "any" or target == "any":
        return True
    also = _ALSO_TAKES.get(target)
    return also is not None and source in also


def check_value(port: PortSpec, value: Any) -> str | None:
    """Say what is wrong with a value for an input port, or None if it fits.

    Null fits every port that is not required, and `any` and `json`. A boolean is no number. Types without a
    check, among them all words that are not known, take every value.
    """
    if port.multiple:
        return _check_many(port, value)
    return _check_one(port, value)


def _check_many(port: PortSpec, value: Any) -> str | None:
    if value is None and not port.required:
        return None
    if not isinstance(value, list | tuple):
        return f"expected a list, because the port takes many values, got {shown(value)}"
    for index, item in enumerate(value):
        problem = _check_one(port, item)
        if problem is not None:
            return f"item {index}: {problem}"
    return None


def _check_one(port: PortSpec, value: Any) -> str | None:
    kind = port.type
    if value is None:
        if not port.required or kind in ("any", "json"):
            return None
        return f"expected {_words(kind)}, got null"
    checked = _CHECKED.get(kind)
    if checked is not None:
        classes, words = checked
        # The class itself is looked up first: that is fast, and keeps bool, a subclass of int, apart.
        if type(value) not in classes and not _is_other_subclass(value, classes):
            return f"expected {words}, got {shown(value)}"
        if kind == "vector" and not all(type(item) in _NUMBERS for item in value):
            return "expected a list of numbers, got a list with other items"
    if port.choices is not None and not _is_choice(value, port.choices):
        return f"expected one of {', '.join(shown(choice) for choice in port.choices)}, got {shown(value)}"
    if port.min is not None or port.max is not None:
        return _check_range(port, value)
    return None


def _is_other_subclass(value: Any, classes: frozenset[type]) -> bool:
    """Whether the value is of a subclass, such as a string enum; a bool passes as nothing but a bool."""
    return not isinstance(value, bool) and isinstance(value, tuple(classes - {bool}))


def _is_choice(value: Any, choices: tuple[Any, ...]) -> bool:
    """Membership where true is not 1."""
    return any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in choices)


def _check_range(port: PortSpec, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"expected a number, got {shown(value)}"
    # Written so that nan, which compares false with everything, is outside of every range.
    if port.min is not None and not value >= port.min:
        return f"expected at least {port.min:g}, got {shown(value)}"
    if port.max is not None and not value <= port.max:
        return f"expected at most {port.max:g}, got {shown(value)}"
    return None


def _words(kind: str) -> str:
    checked = _CHECKED.get(kind)
    return checked[1] if checked is not None else f"a value of type {kind}"


_CLASSES: Final[dict[Any, str]] = {
    Any: "any",
    object: "any",
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    bytes: "bytes",
    bytearray: "bytes",
    memoryview: "bytes",
    list: "list",
    tuple: "list",
    dict: "map",
    Sequence: "list",
    Iterable: "list",
    Mapping: "map",
}


def type_of(hint: Any) -> str:
    """The port type of a Python type hint.

    `Optional`, `Annotated` and new types count as what they wrap. A class that is not plain data gives its
    own name, which fits only itself. What has no single name, such as most unions, gives `any`.
    """
    found = _plain_type(hint)
    if found is not None:
        return found
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _common(type_of, (part for part in typing.get_args(hint) if part is not type(None)))
    if origin is typing.Literal:
        return _common(type_of, (type(part) for part in typing.get_args(hint) if part is not None))
    if origin is not None:
        return type_of(origin)
    return hint.__name__ if isinstance(hint, type) and hint is not type(None) else "any"


def _plain_type(hint: Any) -> str | None:
    """The type of a hint that wraps or is a class of plain data, or None."""
    while True:
        if typing.get_origin(hint) is typing.Annotated:
            hint = typing.get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        else:
            break
    if typing.is_typeddict(hint):
        return "map"
    try:
        found = _CLASSES.get(hint)
    except TypeError:  # a hint need not be hashable
        return None
    if found is None and isinstance(hint, type):
        found = next((_CLASSES[base] for base in hint.__mro__[1:-1] if base in _CLASSES), None)
    return found


def _common(name: Callable[[Any], str], parts: Iterable[Any]) -> str:
    names = {name(part) for part in parts}
    if names == {"integer", "number"}:
        return "number"
    return names.pop() if len(names) == 1 else "any"
