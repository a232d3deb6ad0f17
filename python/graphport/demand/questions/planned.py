"""What a demand would run now, and what that is likely to cost. Called by `server.queries`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphport.demand.questions.dry_run import DryRun, State
from graphport.graph.plan import slices

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from graphport.contracts.sink import Target
    from graphport.demand.evaluator import Evaluator
    from graphport.demand.session import Session
    from graphport.graph.type_stats import TypeStats

MOST_NODES: Final = 10_000
"""Nodes that an answer lists at most."""


def planned(
    evaluator: Evaluator,
    session: Session,
    node: Target,
    *,
    inputs: Mapping[str, dict[str, Any]],
    fresh: bool,
    limit: int,
) -> Generator[Any, None, dict[str, Any]]:
    """The plan of a demand, as the protocol has it; pauses now and then.

    Args:
        evaluator: whose cache and metrics count.
        session: the session.
        node: what would be demanded.
        inputs: the demand's own inputs.
        fresh: the demand would draw new seeds.
        limit: how many nodes to list.

    Raises:
        LookupFailed: `unknown_node`.
        NodeError: `invalid_input`.
    """
    dry = DryRun(evaluator, session, node, inputs=inputs, fresh=fresh)
    yield from dry.working()
    rows: list[dict[str, Any]] = []
    counts = dict.fromkeys((state.value for state in State), 0)
    costs = _Costs()
    for places in slices(dry.plan.size):
        for place in places:
            state = dry.states[place]
            if state is None:
                continue
            counts[state.value] += 1
            costs.add(state, dry.plan.nodes[place].stats)
            if len(rows) < limit:
                rows.append(_row(evaluator, dry, place, state))
        yield
    return {
        "node": node,
        "revision": dry.graph.revision,
        "nodes": rows,
        "counts": counts,
        "estimated_us": round(costs.certain_us, 3),
        "depends_us": round(costs.depends_us, 3),
        "unmeasured": costs.unmeasured,
    }


def _row(evaluator: Evaluator, dry: DryRun, place: int, state: State) -> dict[str, Any]:
    node = dry.plan.nodes[place]
    spec = node.type.spec
    row: dict[str, Any] = {
        "node": node.id,
        "type": spec.type,
        "state": state.value,
        "effect": spec.effect,
        "execution": spec.execution,
        "streams": sorted(node.streams),
    }
    if state is State.RUN and dry.keys[place] in evaluator.flights:
        row["under_way"] = True
    return row


class _Costs:
    """Adds up what nodes are likely to cost: the median of their type's last executions."""

    def __init__(self) -> None:
        self.certain_us = self.depends_us = 0.0
        self.unmeasured = 0
        self._medians: dict[TypeStats, float | None] = {}

    def add(self, state: State, stats: TypeStats) -> None:
        if state not in (State.RUN, State.DEPENDS):
            return
        if stats not in self._medians:
            percentiles = stats.percentiles(0.5)
            self._medians[stats] = None if percentiles is None else percentiles[0] * 1e6
        median_us = self._medians[stats]
        if median_us is None:
            self.unmeasured += 1
        elif state is State.RUN:
            self.certain_us += median_us
        else:
            self.depends_us += median_us
