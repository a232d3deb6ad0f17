"""Errors as they travel: cut to what fits. Called by `outbox`, `connection` and the ErlPort door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import GraphportError, WireError
from graphport.wire import messages
from graphport.wire.limits import MAX_VALUE_BYTES, PART_BYTES

if TYPE_CHECKING:
    from graphport.contracts.sink import Target

_SHOWN_TEXT: Final = 4_096
_SHOWN_TRACEBACK: Final = 16_384


def fault(error: GraphportError) -> dict[str, Any]:
    """An error as it travels; what does not fit or cannot be packed is cut or left out rather than all of it lost."""
    fields = GraphportError.to_wire(error)  # nodes may make subclasses
    if _travels(fields):
        return fields
    # A lone surrogate in a text, an exception of megabytes, or details that are no plain data.
    for name, value in fields.items():
        if isinstance(value, str):
            # Of a traceback the end is what counts.
            cut = value[-_SHOWN_TRACEBACK:] if name == "traceback" else value[:_SHOWN_TEXT]
            fields[name] = cut.encode("utf-8", "backslashreplace").decode()
    details = fields.get("details")
    if isinstance(details, dict) and isinstance(details.get("faults"), list):
        faults = details["faults"]
        while len(faults) > 1 and not _travels(fields):
            faults = faults[: len(faults) // 2]
            fields["details"] = {**details, "faults": faults}
    for name in ("details", "traceback"):
        if not _travels(fields):
            fields.pop(name, None)
    return fields


def _travels(fields: dict[str, Any]) -> bool:
    try:
        return len(messages.error(None, fields)) < PART_BYTES // 2
    except WireError:
        return False


def naming(error: WireError, node: Target, outputs: dict[str, Any]) -> WireError:
    """The error with the port that is to blame."""
    ports = []
    for port, value in outputs.items():
        try:
            size = len(messages.reply(0, value))
        except WireError:
            ports.append(port)
        else:
            if error.code == "too_large" and size > MAX_VALUE_BYTES // (2 * len(outputs)):
                ports.append(port)
    where = f" (output {', '.join(ports)})" if ports else ""
    if node.__class__ is not str:
        return WireError(f"{error.message}{where}", code=error.code)
    return WireError(f"node {node!r}{where}: {error.message}", code=error.code, node_id=node)
