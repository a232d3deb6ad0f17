"""How all commands speak: answers on standard output, everything else on standard error.

Standard output is for the answer alone, so that programs can read it: `own_output` keeps what nodes print out of it.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import math
import os
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from graphport.core.errors import LookupFailed
from graphport.graph.port_types import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphport.core.errors import GraphportError

OK: Final = 0
FAILED: Final = 1
MISUSED: Final = 2

# Deeper nesting is shown as a short text: readers of JSON have limits of their own.
_LEVELS_MOST: Final = 200
_KEPT_CONTROLS: Final = "\n\t"
_CONTROLS: Final = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in _KEPT_CONTROLS}


class Misuse(LookupFailed):
    """The command was given something that it cannot use; the message says what, and what it could use."""


def complain(message: str) -> None:
    """Say a sentence on standard error."""
    sys.stderr.write(f"graphport: {harmless(message)}\n")
    sys.stderr.flush()


def status_of(error: GraphportError) -> int:
    """The exit status for an error: a misuse, or work that failed."""
    return MISUSED if isinstance(error, Misuse) else FAILED


@contextlib.contextmanager
def own_output() -> Iterator[TextIO]:
    """Standard output for the command alone: what nodes print meanwhile, C code too, goes to standard error."""
    usual = sys.stdout
    try:
        is_first = usual.fileno() == 1
    except (OSError, ValueError):
        is_first = False
    if not is_first:
        with contextlib.redirect_stdout(sys.stderr):
            yield usual
        return
    usual.flush()
    kept = os.dup(1)
    # A character without a form in UTF-8 is written as JSON would escape it.
    ours = open(kept, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 - closed below
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield ours
        ours.flush()
    finally:
        os.dup2(kept, 1)
        with contextlib.suppress(OSError):
            ours.close()


def harmless(text: str) -> str:
    """A text without the control characters with which a model or file could take over a terminal."""
    return text.translate(_CONTROLS)


def to_json(value: Any) -> str:
    """A value in one line of JSON.

    What JSON has no form for becomes: bytes `{"base64": …}`, dates and times their ISO text, sets lists, nan and
    infinities null, anything else a short text.
    """
    return json.dumps(_plain(value, _LEVELS_MOST), ensure_ascii=False, allow_nan=False)


def _plain(value: Any, levels: int) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes | bytearray | memoryview):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if levels and isinstance(value, dict):
        return {key if isinstance(key, str) else to_json(key): _plain(item, levels - 1) for key, item in value.items()}
    if levels and isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, levels - 1) for item in value]
    return shown(value)
