"""The node types of random graphs, in an engine of their own, and one that tells what was executed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.random_nodes import Floor

from graphport import node

_floor = Floor(doors=False)
for _type in _floor.types():
    globals()[f"type_{_type.spec.type}"] = _type


@node(effect="effect", execution="inline")
def executed() -> list[Any]:
    """Kind and `k` of what was executed since it was last asked."""
    told = [[call.kind.name, dict(call.identity[1])["k"]] for call in _floor.executions]
    _floor.executions.clear()
    return told
