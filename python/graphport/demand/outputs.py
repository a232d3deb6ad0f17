"""Checks what a node returned against its spec, and turns what it raised into a `NodeError`.

Called by `run` and `flight`.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import GraphportError, NodeError

if TYPE_CHECKING:
    from graphport.graph.compile import CompiledNode


# Of an exception's text, in a message.
_SHOWN_CHARACTERS: Final = 2_000


def checked(node: CompiledNode, returned: Any) -> dict[str, Any]:
    """The outputs as a dict with exactly the declared ports; for a gate at least one of them.

    Raises:
        NodeError: `undeclared_output`, `missing_output`, or `node_failed` if it is no mapping.
    """
    declared = ", ".join(node.output_names) or "none"
    if not isinstance(returned, Mapping):
        raise NodeError(
            f"node {node.id!r} returned {type(returned).__name__}; expected a mapping of its outputs: {declared}",
            code="node_failed",
            node_id=node.id,
        )
    extra = [name for name in returned if name not in node.output_names]
    if extra:
        raise NodeError(
            f"node {node.id!r} returned the undeclared output {extra[0]!r}; declared: {declared}",
            code="undeclared_output",
            node_id=node.id,
        )
    missing = [name for name in node.output_names if name not in returned]
    if missing and not (node.gate and len(missing) < len(node.output_names)):
        raise NodeError(
            f"node {node.id!r} did not return its output {missing[0]!r}; declared: {declared}",
            code="missing_output",
            node_id=node.id,
        )
    return dict(returned)


def failure(node: CompiledNode, raised: BaseException) -> GraphportError:
    """What a node raised, as an error that names the node and carries the traceback of the node's own frames."""
    if isinstance(raised, GraphportError):
        raised.node_id = raised.node_id or node.id
        return raised
    name = type(raised).__name__
    try:
        text = str(raised)
    except Exception:  # foreign code like the node itself
        text = ""
    # One line: the whole text stands in the traceback.
    text = " ".join(text[: 2 * _SHOWN_CHARACTERS].split())
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 1] + "…"
    error = NodeError(
        f"node {node.id!r} ({node.type.spec.type}) raised {name}" + (f": {text}" if text else ""),
        code="node_failed",
        node_id=node.id,
        exception_name=name,
        traceback_text=_traceback(raised),
    )
    error.__cause__ = raised
    return error


def _traceback(raised: BaseException) -> str:
    frames = raised.__traceback__
    # The evaluator's own frames come first and tell a node's author nothing.
    while frames is not None and frames.tb_next is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(raised), raised, frames, limit=50))[-16_384:]


def _is_ours(filename: str) -> bool:
    return filename.startswith(_OWN_FOLDERS)


_PACKAGE = __file__.rpartition("/demand/")[0]
_OWN_FOLDERS = (f"{_PACKAGE}/demand/", f"{_PACKAGE}/graph/")
