"""Answers of people: kept by the session, given to nodes that wait for them, in demands under way and in later ones.

An answer is an input of its node, for every demand of the session that does not give that input itself. A run whose
node has no answer parks it, if the demand said that it waits, and goes on with it when the answer comes; nothing else
of the run is touched. Called by `evaluator` and `run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphport.core.errors import LookupFailed, NodeError
from graphport.graph.port_types import check_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphport.demand.session import Session
    from graphport.graph.compile import CompiledGraph
    from graphport.graph.plan import Plan


def answer(session: Session, node_id: str, value: Any) -> int:
    """Keep an answer, and let every demand go on that waits for it.

    Returns:
        How many those were.

    Raises:
        LookupFailed: `unknown_node`.
        NodeError: `invalid_input` if the node waits for no answers, or not for such a one.
    """
    port = _port(session, node_id, value)
    session.answers[node_id] = {port: value}
    waiting = [run for run in session.runs.values() if run.parked and node_id in run.parked]
    for run in waiting:
        run.answered(node_id, {port: value})
    return len(waiting)


def restore(session: Session, answers: Mapping[str, Any]) -> None:
    """Keep answers that the session had elsewhere. Those that fit no node any more are left out."""
    for node_id, value in answers.items():
        try:
            answer(session, node_id, value)
        except (LookupFailed, NodeError):
            continue


def edited(session: Session, graph: CompiledGraph) -> None:
    """Forget answers to nodes that the graph about to replace the session's has no more, or answers otherwise."""
    for node_id, ports in list(session.answers.items()):
        before, now = _base(session.graph, node_id), _base(graph, node_id)
        if now is None or any(
            now.get(port) != value and (before is None or now.get(port) != before.get(port))
            for port, value in ports.items()
        ):
            del session.answers[node_id]


def _base(graph: CompiledGraph, node_id: str) -> Mapping[str, Any] | None:
    place = graph.index.get(node_id)
    return None if place is None else graph.nodes[place].base


def _port(session: Session, node_id: str, value: Any) -> str:
    place = session.graph.index.get(node_id)
    if place is None:
        raise LookupFailed(f"the graph has no node {node_id!r}", code="unknown_node", node_id=node_id)
    node_type = session.graph.nodes[place].type
    name = node_type.answer_port
    port = None if name is None else node_type.spec.input(name)
    if name is None or port is None:
        problem = f"a {node_type.spec.type} node waits for no answer"
    elif value is None:
        problem = "an answer cannot be null"
    else:
        found = check_value(port, value)
        if found is None:
            return name
        problem = f"the answer: {found}"
    raise NodeError(f"node {node_id!r}: {problem}", code="invalid_input", node_id=node_id)


def with_answers(
    given: Mapping[str, dict[str, Any]], answers: Mapping[str, dict[str, Any]], plan: Plan
) -> dict[str, dict[str, Any]]:
    """What a demand gives itself, and beside it what was answered to nodes of the plan."""
    position, nodes = plan.position, plan.nodes
    merged = dict(given)
    for name, ports in answers.items():
        if name in position and nodes[position[name]].type.answer_port in ports:
            merged[name] = ports | given.get(name, {})
    return merged
