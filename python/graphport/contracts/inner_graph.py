"""A graph that is part of another one: what the nodes that hold it see of it.

Made by `graph.definitions`; nodes shape their ports after it and give it to `RunContext.evaluate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from graphport.contracts.node import Effect, PortSpec


class InnerGraph(Protocol):
    """A graph within a graph. It is compiled when it is first evaluated, and only then."""

    @property
    def inputs(self) -> tuple[PortSpec, ...]:
        """What its `graph-input` nodes declare, in the order of its nodes."""

    @property
    def outputs(self) -> tuple[PortSpec, ...]:
        """What its `graph-output` nodes declare, in the order of its nodes."""

    @property
    def effect(self) -> Effect:
        """The strongest effect class of its nodes; `seeded` if one of them draws a seed."""

    @property
    def gate(self) -> bool:
        """Whether outputs may turn out dead."""

    @property
    def streams(self) -> bool:
        """Whether something in it streams."""

    @property
    def digest(self) -> bytes:
        """Covers all that decides its outputs but its inputs: nodes, edges, settings and the code of its node types."""
