"""The engines that are measured, in the order of the rows. A new one is a file `on_<engine>.py` and a line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from scripts.benchmarks.peers.variant import Variant

OURS: Final = "on_graphport"
ENGINES: Final = (OURS, "on_python", "on_dask", "on_hamilton", "on_pipefunc", "on_langgraph")


def variants(engine: str) -> tuple[Variant, ...]:
    """The ways in which an engine is measured. Does not import the engine itself."""
    found: tuple[Variant, ...] = import_module(f"scripts.benchmarks.peers.{engine}").VARIANTS
    return found
