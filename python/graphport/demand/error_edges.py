"""What goes over an error edge: which failures do, and as what value.

A node with such an edge settles, where it would fail, with its error alone: its other ports are dead, as a gate's are.
Nothing of it is cached. Called by `run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from graphport.core.errors import GraphportError

# These end the work itself, and say nothing of the node.
_ENDINGS: Final = frozenset({"cancelled", "shutting_down"})


def goes_over_edge(error: GraphportError) -> bool:
    """Whether an error is a node's failure, its own timeout included."""
    return error.code not in _ENDINGS


def as_value(error: GraphportError) -> dict[str, Any]:
    """The error as a value of port type `error`. Without the traceback, which is for people."""
    value = {"code": error.code, "message": error.message, "node_id": error.node_id}
    if error.exception_name is not None:
        value["exception"] = error.exception_name
    return value
