"""json-filter: one part of a JSON value, by its path. Runs inline, pure."""

from __future__ import annotations

import re
from typing import Any, Final, TypedDict

from graphport.contracts.node import PortSpec
from graphport.core.errors import NodeError
from graphport.graph.authoring import node, node_type_of

# One step of a path: `.name`, `[3]`, or, at the beginning only, `name`.
_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[([0-9]{1,9})\]")


class Filtered(TypedDict):
    """The outputs."""

    value: Any
    found: bool


@node(
    inputs=[
        PortSpec(name="json", type="json", required=True, description="The value to look into."),
        PortSpec(name="path", type="string", default="", description="As in `a.b[0].c`; empty is the whole value."),
    ],
    outputs=[
        PortSpec(name="value", type="any", description="The part, or null."),
        PortSpec(name="found", type="boolean", description="Whether there is such a part; it may be null."),
    ],
    category="data",
    execution="inline",
    content_digest=True,
    trusted=True,
)
def json_filter(json: Any, path: str = "") -> Filtered:
    """Gives the part of a JSON value that a path such as `a.b[0].c` names, and whether there is one.

    A text is a value without parts: it is not parsed.

    Raises:
        NodeError: `invalid_input` if the path cannot be read.
    """
    value = json
    for key, index in _steps(path or ""):
        if key and isinstance(value, dict) and key in value:
            value = value[key]
        elif index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        else:
            return {"value": None, "found": False}
    return {"value": value, "found": True}


def _steps(path: str) -> list[tuple[str, str]]:
    """The steps of a path, each a key or an index.

    Raises:
        NodeError: `invalid_input` if the path cannot be read.
    """
    steps: list[tuple[str, str]] = []
    at = 0
    while at < len(path):
        step = _STEP.match(path, at)
        # The first key has no dot before it, and every later one has.
        if step is None or (step[1] and (path[at] == ".") == (at == 0)):
            raise NodeError(
                f"json-filter: cannot read the path {path!r} from character {at + 1}; "
                f"expected keys and indexes as in a.b[0].c.",
                code="invalid_input",
            )
        steps.append((step[1] or "", step[2] or ""))
        at = step.end()
    return steps


NODE = node_type_of(json_filter)
