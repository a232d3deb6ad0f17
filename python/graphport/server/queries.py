"""Answers questions that change nothing: `["query", req, what, args]`.

One function per question, and one line in `QUERIES`. Called by `connection`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import LookupFailed, WireError
from graphport.demand.questions.metrics import metrics
from graphport.graph.describe import describe
from graphport.server import graph_queries

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.demand.evaluator import Evaluator


def answer(evaluator: Evaluator, what: str, args: dict[str, Any]) -> Any:
    """The result of a query, as plain data; or a generator that pauses now and then and returns it; or a `Later` of it.

    Raises:
        WireError: `bad_message` for an unknown question or argument.
        LookupFailed: what is asked about does not exist.
    """
    query = QUERIES.get(what)
    if query is None:
        raise WireError(f"unknown query {what[:80]!r}; known are {', '.join(QUERIES)}")
    return query(evaluator, args)


def _nodes(evaluator: Evaluator, args: dict[str, Any]) -> list[dict[str, Any]]:
    """Node types, sorted by name; of `type` alone if it is given."""
    catalogue = evaluator.catalogue
    wanted = args.get("type")
    if not args.keys() <= {"type"} or not isinstance(wanted, str | None):
        raise WireError("query nodes takes one argument, type: text")
    if wanted is None:
        return [describe(node_type.spec) for node_type in catalogue]
    node_type = catalogue.get(wanted)
    if node_type is None:
        near = catalogue.nearest(wanted)
        hint = f"; did you mean {near!r}?" if near else ""
        raise LookupFailed(f"there is no node type {wanted[:80]!r}{hint}", code="unknown_type")
    return [describe(node_type.spec)]


def _health(evaluator: Evaluator, args: dict[str, Any]) -> dict[str, Any]:
    """How the engine is: what is open, room on threads, and what is stuck."""
    if args:
        raise WireError("query health takes no argument")
    return {
        "sessions": len(evaluator.sessions),
        "demands": len(evaluator.runs),
        "executions": len(evaluator.flights),
        "threads": evaluator.threads.describe(),
        "stuck": evaluator.stuck.describe(),
        "degraded": evaluator.stuck.degraded,
        "store": None if evaluator.stored is None else evaluator.stored.describe(),
    }


def _metrics(evaluator: Evaluator, args: dict[str, Any]) -> Any:
    """What running has cost so far; `reset` begins anew."""
    reset = args.get("reset", False)
    if not args.keys() <= {"reset"} or not isinstance(reset, bool):
        raise WireError("query metrics takes one argument, reset: true or false")
    return metrics(evaluator, reset=reset)


QUERIES: Final[dict[str, Callable[[Evaluator, dict[str, Any]], Any]]] = {
    "nodes": _nodes,
    "health": _health,
    "metrics": _metrics,
    "graph": graph_queries.graph,
    "mermaid": graph_queries.mermaid,
    "dot": graph_queries.dot,
}
