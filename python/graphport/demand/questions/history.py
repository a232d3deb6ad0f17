"""What the last runs of a session were made of, to say later what has changed since.

A run is remembered by references to what it made anyway, none of which are results. Written by `run` at its end, read
by `why` and `metrics`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphport.graph.digest import digest
from graphport.graph.values import FIXED

if TYPE_CHECKING:
    from graphport.contracts.sink import Target
    from graphport.demand.run import Run

# Targets of which a session remembers a run, and nodes of all these runs together: plans of a graph that has been
# edited live on for as long as they are remembered.
_TARGETS_KEPT: Final = 16
_NODES_KEPT: Final = 250_000
# (plan, keys, seeds, given, revision, demand)
_Row = tuple[Any, list[Any], dict[int, int], dict[int, dict[str, Any]], int, int]
# Texts and bytes up to this length are remembered themselves.
_SHORT: Final = 64


class Record:
    """One run, as it was remembered.

    Attributes:
        plan: what it could need.
        keys: per node of the plan its key, None where it was never known.
        seeds: place to the seed that was drawn.
        given: the demand's own inputs: place to port to a mark of the value.
        revision: of the graph.
        demand: the demand's number.
    """

    __slots__ = ("demand", "given", "keys", "plan", "revision", "seeds")

    def __init__(self, row: _Row) -> None:
        self.plan, self.keys, self.seeds, self.given, self.revision, self.demand = row


class History:
    """The last run of each of the last targets of a session."""

    __slots__ = ("_nodes", "_rows")

    def __init__(self) -> None:
        self._rows: dict[Any, _Row] = {}  # the last one last
        self._nodes = 0

    def note(self, run: Run) -> None:
        """Remember a run that is done, in place of an earlier one of its target; not one within a node."""
        if run.demand < 0:
            return
        # By name: the graph may be another one next time.
        target = run.node if run.node.__class__ is str else tuple(run.node)
        rows, plan, inputs = self._rows, run.plan, run.inputs
        if inputs:
            inputs = {place: marks(ports) for place, ports in inputs.items()}
        before = rows.pop(target, None)
        rows[target] = (plan, run.keys, run.seeds, inputs, run.graph.revision, run.demand)
        if before is None or before[0] is not plan:
            self._nodes += plan.size - (before[0].size if before is not None else 0)
            while len(rows) > 1 and (len(rows) > _TARGETS_KEPT or self._nodes > _NODES_KEPT):
                self._nodes -= rows.pop(next(iter(rows)))[0].size

    def records(self) -> list[Record]:
        """The runs, the last one first."""
        return [Record(row) for row in reversed(self._rows.values())]

    def last(self, target: Target) -> Record | None:
        """The last run of a target; of a node else the last that could need it."""
        row = self._rows.get(target if isinstance(target, str) else tuple(target))
        if row is not None:
            return Record(row)
        return next(
            (record for record in self.records() if isinstance(target, str) and target in record.plan.position), None
        )


def marks(ports: dict[str, Any]) -> dict[str, Any]:
    """For each value what tells it from another one, at no great cost; None where that takes looking through it."""
    return {port: _mark(value) for port, value in ports.items()}


def _mark(value: Any) -> tuple[str, Any] | None:
    if value.__class__ not in FIXED:
        return None
    if value.__class__ in (str, bytes) and len(value) > _SHORT:
        return "digest", digest(value)
    return value.__class__.__name__, value
