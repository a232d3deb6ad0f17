"""Questions about the graph of a session: what it is, and what it looks like.

Of a large graph the answer is made beside the loop: it then comes as `Later`. Called by `queries` and `connection`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import LookupFailed, WireError
from graphport.graph.draw import STATES, Timing, to_dot, to_mermaid
from graphport.graph.json_shapes import to_dependency_json, to_json, to_workglow_json
from graphport.wire import messages
from graphport.wire.limits import MAX_VALUE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.demand.evaluator import Evaluator
    from graphport.graph.model import Graph

# Nodes and edges that are written in less than the ten milliseconds which others may be kept waiting.
_SMALL: Final = 200
_FORMATS: Final[dict[str, Callable[[Graph], Any]]] = {
    "json": to_json,
    "workglow-json": to_workglow_json,
    "dependency-json": to_dependency_json,
}


class Packed(bytes):
    """A reply that is packed already."""


@dataclass(frozen=True, slots=True)
class Later:
    """An answer that takes longer than others should wait. `make` may be called on any thread."""

    make: Callable[[], Any]

    def reply(self, req: int) -> Packed:
        """The packed reply.

        Raises:
            WireError: `too_large`, or `unencodable_value`.
        """
        packed = messages.reply(req, self.make())
        if len(packed) > MAX_VALUE_BYTES:
            text = f"the answer takes {len(packed)} bytes; at most {MAX_VALUE_BYTES} travel in one"
            raise WireError(text, code="too_large")
        return Packed(packed)


def graph(evaluator: Evaluator, args: dict[str, Any]) -> Any:
    """The graph of a session in one of several shapes."""
    form = args.get("format", "json")
    if not args.keys() <= {"session", "format"} or not isinstance(form, str) or form not in _FORMATS:
        raise WireError(f"query graph takes session: number, format: one of {', '.join(_FORMATS)}")
    return _made(_graph_of(evaluator, args, "graph"), _FORMATS[form])


def mermaid(evaluator: Evaluator, args: dict[str, Any]) -> Any:
    """The graph of a session as a Mermaid flowchart."""
    return _made(_graph_of(evaluator, args, "mermaid"), partial(to_mermaid, timings=_timings(args, "mermaid")))


def dot(evaluator: Evaluator, args: dict[str, Any]) -> Any:
    """The graph of a session in DOT."""
    return _made(_graph_of(evaluator, args, "dot"), partial(to_dot, timings=_timings(args, "dot")))


def _graph_of(evaluator: Evaluator, args: dict[str, Any], what: str) -> Graph:
    number = args.get("session")
    if type(number) is not int:
        raise WireError(f"query {what} takes session: number")
    session = evaluator.sessions.get(number)
    if session is None:
        raise LookupFailed(f"session {number} is not open", code="unknown_session")
    return session.graph.source


def _timings(args: dict[str, Any], what: str) -> dict[str, Timing]:
    given = args.get("timings", {})
    if not args.keys() <= {"session", "timings"} or not isinstance(given, dict):
        raise WireError(f"query {what} takes session: number, timings: map")
    timings = {}
    for node_id, one in given.items():
        state, us = (one.get("state"), one.get("us")) if isinstance(one, dict) else (None, None)
        if not isinstance(node_id, str) or state not in STATES or not (us is None or type(us) is int):
            raise WireError(f"timings of query {what}: node → state: one of {', '.join(STATES)}, us: int or nil")
        timings[node_id] = Timing(state, us)
    return timings


def _made(of: Graph, make: Callable[[Graph], Any]) -> Any:
    return make(of) if len(of.nodes) + len(of.edges) <= _SMALL else Later(partial(make, of))
