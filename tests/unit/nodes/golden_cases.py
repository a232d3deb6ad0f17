"""The golden cases of the core nodes, and what it takes to run one.

A case has `name`, `inputs` (every input port), and either `outputs` or `error` and `message`. `chunks` are the pieces
that the node streams; `loaded` gives the node the service `inference` with workers running, per model path.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphport.nodes import CORE_NODES
from graphport.testing import RecordingContext

if TYPE_CHECKING:
    from collections.abc import Mapping

GOLDEN: Final = Path(__file__).parent / "golden"
CASES: Final[Mapping[str, list[dict[str, Any]]]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(GOLDEN.glob("*.json"))
}


class LoadedModels:
    """The part of an inference gateway that unloads: knows how many workers each model has."""

    def __init__(self, workers: Mapping[str, int]) -> None:
        self._workers = dict(workers)

    async def unload(self, model_path: str) -> int:
        return self._workers.pop(model_path, 0)


def services_of(case: Mapping[str, Any]) -> dict[str, Any]:
    """The services that the node of this case finds."""
    return {"inference": LoadedModels(case["loaded"])} if "loaded" in case else {}


def run_case(name: str, case: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    """Run a node with the inputs of a case; its outputs and the chunks that it streamed."""
    node_type = CORE_NODES[name]()
    streams = [port.name for port in node_type.spec.outputs if port.stream]
    context = RecordingContext(node_type=name, services=services_of(case), streams=streams)
    inputs = copy.deepcopy(case["inputs"])
    outputs = node_type(inputs, context)
    if inspect.isawaitable(outputs):
        outputs = asyncio.run(_awaited(outputs))
    assert inputs == case["inputs"], "the node has changed its inputs"
    return outputs, context.chunks


async def _awaited(outputs: Any) -> Any:
    return await outputs
