"""Checks what a node returned against its spec, and turns what it raised into a `NodeError`.

Called by `run` and `flight`.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import CODES, GraphportError, NodeError

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
    # A graph within a node may have none of its outputs alive, behind a gate of its own.
    enough = node.gate and (len(missing) < len(node.output_names) or node.type.inner is not None)
    if missing and not enough:
        raise NodeError(
            f"node {node.id!r} did not return its output {missing[0]!r}; declared: {declared}",
            code="missing_output",
            node_id=node.id,
        )
    return dict(returned)


def failure(node: CompiledNode, raised: BaseException) -> GraphportError:
    """What a node raised, as an error that names the node and carries the traceback of the node's own frames."""
    # By its type alone: an exception is foreign code like the node itself, and may say of its class what it likes.
    if issubclass(type(raised), GraphportError) and _is_sound(raised):
        raised.node_id = raised.node_id or node.id  # type: ignore[attr-defined]
        return raised  # type: ignore[return-value]
    name = type(raised).__name__
    text = ""
    with contextlib.suppress(BaseException):
        text = _one_line(raised)
    error = NodeError(
        f"node {node.id!r} ({node.type.spec.type}) raised {name}" + (f": {text}" if text else ""),
        code="node_failed",
        node_id=node.id,
        exception_name=name,
        traceback_text=_traceback(raised),
    )
    error.__cause__ = raised
    # Its frames hold what the node held, which may be much, and this error is held by one of them.
    BaseException.with_traceback(raised, None)
    return error


def _is_sound(error: Any) -> bool:
    """Whether the fields of an error that a node made itself are of their types, and its code one that we know."""
    return (
        type(error.code) is str
        and error.code in CODES
        and type(error.message) is str
        and isinstance(error.node_id, str | None)
        and isinstance(error.retry_after_ms, int | None)
        and isinstance(error.details, dict | None)
    )


def _one_line(raised: BaseException) -> str:
    # The whole text stands in the traceback.
    text = " ".join(str(raised)[: 2 * _SHOWN_CHARACTERS].split())
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _traceback(raised: BaseException) -> str:
    try:
        if issubclass(type(raised), MemoryError):
            traceback.clear_frames(raised.__traceback__)  # to have some again, for the next lines
        return _frames_of(raised)
    except BaseException:  # foreign code again
        return ""


def _frames_of(raised: BaseException) -> str:
    frames = raised.__traceback__
    # The evaluator's own frames come first and tell a node's author nothing.
    while frames is not None and frames.tb_next is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(raised), raised, frames, limit=50))[-16_384:]


def _is_ours(filename: str) -> bool:
    return filename.startswith(_OWN_FOLDERS)


_PACKAGE = __file__.rpartition("/demand/")[0]
_OWN_FOLDERS = (f"{_PACKAGE}/demand/", f"{_PACKAGE}/graph/")
