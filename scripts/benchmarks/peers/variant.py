"""What `measure` needs to know of an engine: how it is given a shape, how it forgets, how it runs.

A file `on_<engine>.py` has `VARIANTS`, the ways in which that engine is measured. It imports the engine inside
functions only, so that the list can be read where the engine is not installed. Enrolled in `roster`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from scripts.benchmarks.shapes import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.benchmarks.shapes import Functions, Shape


class Prepared(Protocol):
    """A shape as the engine wants it, compiled or built as far as it can be beforehand."""

    def forget(self) -> None:
        """Empty the cache, so that the next run is cold. Not timed."""

    async def run(self) -> Any:
        """The target's value. Timed."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to run an engine.

    Attributes:
        name: in the rows.
        distribution: the installed package whose version is told; empty for Python itself.
        does: what is done for each node, in a line.
        prepare: makes a shape ready.
        functions: the node functions it runs.
        caches: a second run finds results of the first, and is timed as `warm`.
        long_chain: whether a chain of 100,000 nodes is tried; it must then end in seconds.
        in_picture: whether the picture shows it.
    """

    name: str
    distribution: str
    does: str
    prepare: Callable[[Shape], Prepared]
    functions: Functions = PLAIN
    caches: bool = False
    long_chain: bool = False
    in_picture: bool = True


class Keeping:
    """For engines without a cache: there is nothing to forget."""

    def forget(self) -> None:
        """See `Prepared.forget`."""
