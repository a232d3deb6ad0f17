"""Apache Hamilton: a function per node, its parameters named after those it reads. See `variant`.

It walks graphs by recursion, so Python's limit is raised for it.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scripts.benchmarks.peers.variant import Keeping, Variant

if TYPE_CHECKING:
    from types import ModuleType

    from scripts.benchmarks.shapes import Shape

_RECURSION_LIMIT: Final = 10_000_000


def _module(shape: Shape) -> ModuleType:
    """The shape as a module of functions, which is how Hamilton is given one. It reads their source for its keys."""
    lines: list[str] = []
    for name, step in shape.steps.items():
        parameters, values = ", ".join(f"{source}: int" for source in step.sources), ", ".join(step.sources)
        given = f"[{values}]" if step.collects else values
        lines += (f"def {name}({parameters}) -> int:", f"    return _{step.function.__name__}({given})", "")
    path = Path(tempfile.mkdtemp(prefix="hamilton-")) / f"shape_{uuid.uuid4().hex}.py"
    path.write_text("\n".join(lines), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    for step in shape.steps.values():
        setattr(module, f"_{step.function.__name__}", step.function)
    spec.loader.exec_module(module)
    return module


class _Driver(Keeping):
    def __init__(self, shape: Shape) -> None:
        from hamilton import driver

        sys.setrecursionlimit(_RECURSION_LIMIT)
        self._target = shape.target
        self._driver = driver.Builder().with_modules(_module(shape)).build()

    async def run(self) -> Any:
        return self._driver.execute([self._target])[self._target]


class _CachingDriver:
    """Its cache is on disk; a new folder is an empty one."""

    def __init__(self, shape: Shape) -> None:
        sys.setrecursionlimit(_RECURSION_LIMIT)
        self._target = shape.target
        self._module = _module(shape)
        self.forget()

    def forget(self) -> None:
        from hamilton import driver

        self._folder = tempfile.TemporaryDirectory(prefix="hamilton-cache-", ignore_cleanup_errors=True)
        self._driver = driver.Builder().with_modules(self._module).with_cache(path=self._folder.name).build()

    async def run(self) -> Any:
        return self._driver.execute([self._target])[self._target]


VARIANTS: Final = (
    Variant(
        name="Hamilton",
        distribution="apache-hamilton",
        does="calls by recursion, checks types; no key, cache or metrics; no async",
        prepare=_Driver,
    ),
    Variant(
        name="Hamilton, with_cache",
        distribution="apache-hamilton",
        does="the same, and key, cache on disk (there is none in memory), log of events",
        prepare=_CachingDriver,
        caches=True,
    ),
)
