"""Answers questions that change nothing: `["query", req, what, args]`.

One function per question, and one line in `QUERIES`. Called by `connection`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import LookupFailed, WireError
from graphport.demand.questions.metrics import metrics
from graphport.demand.questions.planned import MOST_NODES, planned
from graphport.demand.questions.trace import as_chrome, described
from graphport.demand.questions.why import why
from graphport.graph.describe import describe
from graphport.server import graph_queries
from graphport.wire.parse import is_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.contracts.sink import Target
    from graphport.demand.evaluator import Evaluator
    from graphport.demand.session import Session

# Rows of an answer that names no other number.
_LISTED: Final = 1_000


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
        "demands": len(evaluator.runs) + len(evaluator.watches),
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


def _plan(evaluator: Evaluator, args: dict[str, Any]) -> Any:
    """What a demand would run now."""
    fresh = args.get("fresh", False)
    if not isinstance(fresh, bool):
        raise WireError("query plan takes fresh: true or false")
    session, node, options = _thought_of(evaluator, "plan", args, {"inputs", "fresh", "limit"})
    return planned(evaluator, session, node, fresh=fresh, **options)


def _why(evaluator: Evaluator, args: dict[str, Any]) -> Any:
    """What has changed since a node last ran."""
    session, node, options = _thought_of(evaluator, "why", args, {"inputs", "limit"})
    return why(evaluator, session, node, **options)


def _trace(evaluator: Evaluator, args: dict[str, Any]) -> Any:
    """What became of the nodes of a run that was traced; None if there is none."""
    demand, session, form = args.get("demand"), args.get("session"), args.get("format", "steps")
    numbers = all(number is None or type(number) is int for number in (demand, session))
    if not args.keys() <= {"demand", "session", "format"} or not numbers or form not in ("steps", "chrome"):
        raise WireError("query trace takes demand: integer, session: integer, and format: 'steps' or 'chrome'")
    trace = evaluator.traces.find(demand, session)
    if trace is None:
        return None
    return as_chrome(trace) if form == "chrome" else described(trace)


def _thought_of(
    evaluator: Evaluator, what: str, args: dict[str, Any], more: set[str]
) -> tuple[Session, Target, dict[str, Any]]:
    """The session, the target and the other options of a demand that is asked about."""
    number, node = args.get("session"), args.get("node")
    if not args.keys() <= {"session", "node"} | more or type(number) is not int or not is_target(node):
        known = ", ".join(sorted(more))
        raise WireError(f"query {what} takes session: integer, node: text or a list of different texts, and {known}")
    inputs, limit = args.get("inputs", {}), args.get("limit", _LISTED)
    if not _are_inputs(inputs):
        raise WireError(f"query {what} takes inputs: map of node to map of port to value")
    if type(limit) is not int or not 0 <= limit <= MOST_NODES:
        raise WireError(f"query {what} takes limit: integer from 0 to {MOST_NODES}")
    session = evaluator.sessions.get(number)
    if session is None:
        raise LookupFailed(f"session {number} is not open", code="unknown_session")
    return session, node, {"inputs": inputs, "limit": limit}  # type: ignore[return-value]


def _are_inputs(inputs: Any) -> bool:
    return type(inputs) is dict and all(
        type(node) is str and type(ports) is dict and all(type(port) is str for port in ports)
        for node, ports in inputs.items()
    )


QUERIES: Final[dict[str, Callable[[Evaluator, dict[str, Any]], Any]]] = {
    "nodes": _nodes,
    "health": _health,
    "metrics": _metrics,
    "graph": graph_queries.graph,
    "mermaid": graph_queries.mermaid,
    "dot": graph_queries.dot,
    "plan": _plan,
    "why": _why,
    "trace": _trace,
}
