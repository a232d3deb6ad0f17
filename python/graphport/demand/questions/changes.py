"""How one node differs from itself in an earlier run. Called by `why`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphport.demand.questions.history import marks
from graphport.graph.digest import digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphport.demand.questions.dry_run import DryRun
    from graphport.demand.questions.history import Record
    from graphport.graph.compile import CompiledNode
    from graphport.graph.plan import Plan

Change = tuple[str, dict[str, Any]]


def changes(last: Record, before: int, dry: DryRun, place: int) -> Iterator[Change]:
    """What is different about the node itself, as `(cause, facts)`; not what differs because its sources do.

    Args:
        last: the earlier run.
        before: the node's place in that run's plan.
        dry: the present.
        place: its place now.
    """
    old, new = last.plan.nodes[before], dry.plan.nodes[place]
    found = False
    if old is not new and old.static_digest != new.static_digest:
        for change in _of_nodes(old, new):
            found = True
            yield change
    if _sources(last.plan, before) != _sources(dry.plan, place):
        for change in _of_edges(_sources(last.plan, before), _sources(dry.plan, place)):
            found = True
            yield change
    if last.seeds.get(before) != dry.seeds.get(place) and place in dry.seeds:
        found = True
        yield "seed_drawn", {}
    yield from _of_inputs(last, before, dry, place, known=found)


def _of_nodes(old: CompiledNode, new: CompiledNode) -> Iterator[Change]:
    was, now = old.type, new.type
    if was.spec.type != now.spec.type:
        yield "type_changed", {"before": was.spec.type, "now": now.spec.type}
        return
    if was.spec.version != now.spec.version:
        yield "version_changed", {"before": was.spec.version, "now": now.spec.version}
    elif was.code_digest != now.code_digest:
        yield "code_changed", {}
    by_edge = {edge[2] for edge in new.edges} | {edge[2] for edge in old.edges}
    for port in now.spec.inputs:
        if port.name in by_edge or port.name not in old.base:
            continue
        if not _are_equal(old.base[port.name], new.base[port.name]):
            facts = {"port": port.name}
            yield "data_changed", facts if port.setting is None else {**facts, "setting": port.setting}


def _are_equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    known = digest(one)
    return known is not None and known == digest(other)


def _sources(plan: Plan, place: int) -> list[tuple[str, str, str]]:
    """In-edges as (this node's port, source, its port)."""
    return [(into, plan.nodes[source].id, out) for source, out, into, _ in plan.edges[place]]


def _of_edges(old: list[tuple[str, str, str]], new: list[tuple[str, str, str]]) -> Iterator[Change]:
    for port in dict.fromkeys(edge[0] for edge in (*old, *new)):
        before = [f"{source}.{out}" for into, source, out in old if into == port]
        now = [f"{source}.{out}" for into, source, out in new if into == port]
        if before != now:
            yield "edge_changed", {"port": port, "before": before, "now": now}


def _of_inputs(last: Record, before: int, dry: DryRun, place: int, *, known: bool) -> Iterator[Change]:
    """Inputs of the demands themselves. Those that are not remembered differ if nothing else can."""
    was, now = last.given.get(before, {}), marks(dry.inputs.get(place, {}))
    if not was and not now:
        return
    opaque: list[str] = []
    for port in dict.fromkeys((*was, *now)):
        if port in was and port in now and was[port] is None and now[port] is None:
            opaque.append(port)
        elif port not in was or port not in now or was[port] != now[port]:
            known = True
            yield "input_differs", {"port": port}
    if known or not opaque or last.keys[before] == dry.keys[place]:
        return
    sources = [(last.plan.position.get(dry.plan.nodes[edge[0]].id), edge[0]) for edge in dry.edges[place]]
    if all(old is not None and last.keys[old] == dry.keys[source] for old, source in sources):
        for port in opaque:
            yield "input_differs", {"port": port}
