"""What a node returns becomes the engine's own: a node that keeps a list it has returned can change it for itself only.

Decided per node type, when a graph is compiled: a type whose sole output is a number or a text costs nothing, and core
nodes are trusted. Copies what it can copy (`values.own_copy`), and refuses what can be read once only. Must not check
ports. Called by `compile`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import NodeError
from graphport.graph.values import FIXED, own_copy

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.contracts.node import NodeType

    Handler = Callable[[dict[str, Any], Any], Any]

# Port types whose values nobody can change.
_FIXED_TYPES: Final = frozenset({"string", "number", "integer", "boolean"})
# What the first consumer would leave empty for the others.
_READ_ONCE: Final = frozenset({GeneratorType, AsyncGeneratorType, CoroutineType, map, filter, zip, enumerate})
_HANDLERS_KEPT: Final = 4_096


def owning_handler(node_type: NodeType) -> Handler:
    """The type's handler, or one that hands out copies where what it returns could be changed later."""
    outputs = node_type.spec.outputs
    if node_type.trusted or not outputs or (len(outputs) == 1 and outputs[0].type in _FIXED_TYPES):
        return node_type.handler
    return _owning(node_type.handler, node_type.spec.execution == "async")


@functools.lru_cache(maxsize=_HANDLERS_KEPT)
def _owning(handler: Handler, is_async: bool) -> Handler:
    if is_async:

        async def run_async(inputs: dict[str, Any], context: Any) -> Any:
            return owned(await handler(inputs, context))

        return run_async

    def run(inputs: dict[str, Any], context: Any) -> Any:
        return owned(handler(inputs, context))

    return run


def owned(returned: Any) -> Any:
    """The outputs, and the lists and maps in them, as new ones. What is no map is given back as it is.

    Raises:
        NodeError: `unencodable_value` if an output can be read only once, as a generator can.
    """
    if type(returned) is not dict:
        if not isinstance(returned, Mapping):
            return returned
        returned = dict(returned)
    return {port: value if type(value) in FIXED else _own(port, value) for port, value in returned.items()}


def _own(port: str, value: Any) -> Any:
    # By its type alone: a value is foreign code, and may say of its class what it likes.
    kind = type(value)
    if kind in _READ_ONCE:
        raise NodeError(
            f"the node returned {_with_article(kind.__name__)} as {port!r}, which can be read only once; "
            "return a list of all it gives, or send its pieces with ctx.stream(port, chunk)",
            code="unencodable_value",
        )
    return own_copy(value)


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
