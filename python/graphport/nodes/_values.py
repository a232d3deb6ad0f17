"""What several core nodes ask of a value: is it an image or a sound, is it a vector, is it text with something in it.

Pure, and no node itself. A cached result hangs on the source file of its node, not on this one: who changes what is
accepted here raises the `version` of the nodes that use it.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final, TypeVar

from graphport.core.errors import NodeError
from graphport.graph.port_types import shown

_Value = TypeVar("_Value")

# Plain values that can be neither an image nor a sound nor a cloud of points.
_SCALARS: Final = (bool, int, float)


def media(value: _Value, node: str, what: str) -> _Value:
    """The value itself, if it may stand for an image or a sound.

    That is the encoded bytes, their base64 text or an address, a map that describes it, or an object of a library.

    Args:
        value: the value.
        node: the node's type, for the message.
        what: what is expected, for the message, such as `an image`.

    Raises:
        NodeError: `invalid_input` for numbers, truth values, lists, and empty text, bytes and maps.
    """
    empty = isinstance(value, str | bytes | dict) and not (value.strip() if isinstance(value, str) else value)
    if value is None or empty or isinstance(value, (*_SCALARS, list, tuple)):
        raise NodeError(
            f"{node}: expected {what} as bytes, base64 text, an address or a map, got {shown(value)}.",
            code="invalid_input",
        )
    return value


def vector(value: Any, node: str) -> list[float]:
    """A list of finite numbers, or its JSON text, as a list of floats.

    Raises:
        NodeError: `invalid_input` for anything else.
    """
    numbers = _parsed(value) if isinstance(value, str) else value
    if isinstance(numbers, list | tuple):
        try:
            found = [float(item) for item in numbers if type(item) is float or type(item) is int]
        except OverflowError:  # an integer larger than any float
            found = []
        if len(found) == len(numbers) and all(map(math.isfinite, found)):
            return found
    raise NodeError(
        f"{node}: expected a list of finite numbers, or its JSON text, got {shown(value)}.", code="invalid_input"
    )


def text_of(value: Any, node: str, port: str, what: str) -> str:
    """A text that is not blank.

    Raises:
        NodeError: `missing_input` for null, `invalid_input` for anything else that is no such text.
    """
    if isinstance(value, str) and value.strip():
        return value
    raise NodeError(
        f"{node}: `{port}` should be {what}, got {shown(value)}.",
        code="missing_input" if value is None else "invalid_input",
    )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
