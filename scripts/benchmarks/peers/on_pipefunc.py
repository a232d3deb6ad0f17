"""pipefunc with its cache in memory. See `variant`.

It walks graphs by recursion, so Python's limit is raised for it. Adding a function checks the whole pipeline again and
forgets what is known of all functions, which makes building quadratic (half a minute for 1,000 nodes); here both are
done once, when all have been added.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from scripts.benchmarks.peers.variant import Variant

if TYPE_CHECKING:
    from scripts.benchmarks.shapes import Shape, Step

_RECURSION_LIMIT: Final = 100_000
# Only what hangs on arguments that the caller gives is cached.
_GIVEN: Final = "start_value"


def _function(name: str, step: Step) -> Any:
    from pipefunc import PipeFunc

    if not step.collects:
        renames = dict(zip(step.parameters, step.sources, strict=False))
        return PipeFunc(step.function, name, renames=renames or {"value": _GIVEN}, cache=True)
    found: dict[str, Any] = {"do": step.function}
    values = ", ".join(step.sources)
    exec(f"def {name}({values}): return do([{values}])", found)
    return PipeFunc(found[name], name, cache=True)


def _later(_pipeline: Any) -> None:
    pass


class _Pipeline:
    def __init__(self, shape: Shape) -> None:
        from pipefunc import Pipeline

        sys.setrecursionlimit(_RECURSION_LIMIT)
        self._target = shape.target
        functions = [_function(name, step) for name, step in shape.steps.items()]
        with patch.multiple(Pipeline, validate=_later, _clear_internal_cache=_later):
            self._pipeline = Pipeline(functions, cache_type="simple")
        self._pipeline._clear_internal_cache()
        self._pipeline.validate()

    def forget(self) -> None:
        self._pipeline.cache.clear()

    async def run(self) -> Any:
        return self._pipeline.run(self._target, kwargs={_GIVEN: 1})


VARIANTS: Final = (
    Variant(
        name="pipefunc",
        distribution="pipefunc",
        does="calls by recursion; key of root arguments, cache in memory; no events; no async",
        prepare=_Pipeline,
        caches=True,
    ),
)
