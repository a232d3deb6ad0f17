"""Why a demand would run something now: what has changed since the session's last run, traced back to where it began.

A run left its plan and its keys (`history`); a dry run has those of the present. Where the key of a node differs and
all its sources' keys are the same, the node itself is where it began. Called by `server.queries`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphport.demand.questions.changes import changes
from graphport.demand.questions.dry_run import DryRun, State

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from graphport.contracts.sink import Target
    from graphport.demand.evaluator import Evaluator
    from graphport.demand.questions.history import Record
    from graphport.demand.session import Session

_SENTENCES: Final = {
    "never_run": "{node} has not been run in this session",
    "data_changed": "the value of {port} of {node} has changed",
    "input_differs": "the demand gives {port} of {node} another value, or gives it and did not",
    "edge_changed": "what is connected to {port} of {node} has changed",
    "type_changed": "{node} is of another type",
    "version_changed": "the type of {node} has another version",
    "code_changed": "the code of {node} has changed",
    "seed_drawn": "{node} draws another seed",
    "volatile": "{node} runs anew for every demand",
    "effect": "{node} has an effect, and runs for every demand",
    "not_kept": "the result of {node} is no longer in the cache",
}

# Nodes compared between two pauses: comparing takes much longer than other looks at a node.
_NODES_PER_PAUSE: Final = 32
# Of nodes that would not run. What hangs on them may run all the same, because they have changed before.
_AT_REST: Final = (None, State.CACHED)


def why(
    evaluator: Evaluator, session: Session, node: Target, *, inputs: Mapping[str, dict[str, Any]], limit: int
) -> Generator[Any, None, dict[str, Any]]:
    """What makes a demand run something, as the protocol has it; pauses now and then.

    Args:
        evaluator: whose cache counts.
        session: the session, whose last run of that target, or with that node, is compared with.
        node: what would be demanded.
        inputs: the demand's own inputs.
        limit: how many causes to list.

    Raises:
        LookupFailed: `unknown_node`.
        NodeError: `invalid_input`.
    """
    dry = DryRun(evaluator, session, node, inputs=inputs, fresh=False)
    yield from dry.working()
    last = session.history.last(node)
    causes: list[dict[str, Any]] = []
    total = 0
    for steps, found in enumerate(_causes(dry, last)):
        total += len(found)
        causes += found[: limit - len(causes)] if len(causes) < limit else ()
        if not steps % _NODES_PER_PAUSE:
            yield
    running = any(state in (State.RUN, State.DEPENDS) for state in _target_states(dry))
    return {
        "node": node,
        "runs": running,
        "since": None if last is None else last.demand,
        "causes": causes,
        "total": total,
        "text": _text(node, causes, total, running=running),
    }


def _target_states(dry: DryRun) -> list[State | None]:
    places = dry.plan.targets if dry.plan.targets is not None else (len(dry.states) - 1,)
    return [dry.states[place] for place in places]


def _causes(dry: DryRun, last: Record | None) -> Iterator[list[dict[str, Any]]]:
    """From the target on upward, per node that would run, or that something that runs hangs on."""
    waiting = [len(dry.states) - 1]
    seen = bytearray(len(dry.states))
    seen[-1] = 1
    while waiting:
        place = waiting.pop()
        state = dry.states[place]
        if place < dry.plan.size:
            yield _of_node(dry, place, state, last)
        if state in _AT_REST and not _differs(dry, place, last):
            continue
        for source in dict.fromkeys(edge[0] for edge in dry.edges[place]) if place < dry.plan.size else _targets(dry):
            if not seen[source] and (dry.states[source] is not None or _differs(dry, source, last)):
                seen[source] = 1
                waiting.append(source)


def _targets(dry: DryRun) -> tuple[int, ...]:
    return dry.plan.targets or ()


def _differs(dry: DryRun, place: int, last: Record | None) -> bool:
    """Whether a node that need not run has another key than it had: what hangs on it may run for that."""
    before = None if last is None else last.plan.position.get(dry.plan.nodes[place].id)
    return before is not None and last is not None and last.keys[before] != dry.keys[place]


def _of_node(dry: DryRun, place: int, state: State | None, last: Record | None) -> list[dict[str, Any]]:
    node = dry.plan.nodes[place]
    if state is State.SKIPPED:
        return []
    before = None if last is None else last.plan.position.get(node.id)
    if before is None or last is None:
        return [] if state in _AT_REST else [_cause(node.id, "never_run")]
    found = [_cause(node.id, cause, **facts) for cause, facts in changes(last, before, dry, place)]
    if found or state in _AT_REST:
        return found
    if not node.cacheable:
        return [_cause(node.id, "effect" if node.type.spec.effect == "effect" else "volatile")]
    below_volatile = dry.once is not None and dry.once[place]
    if not below_volatile and dry.keys[place] is not None and dry.keys[place] == last.keys[before]:
        return [_cause(node.id, "not_kept")]
    return []


def _cause(node: str, cause: str, **facts: Any) -> dict[str, Any]:
    text = _SENTENCES[cause].format(node=repr(node), port=repr(facts.get("port")))
    return {"node": node, "cause": cause, **facts, "text": text}


def _text(node: Target, causes: list[dict[str, Any]], total: int, *, running: bool) -> str:
    name = repr(node) if isinstance(node, str) and node != "*" else "this demand"
    if not running:
        return f"{name} would be answered from the cache: nothing that it needs has changed"
    if not causes:
        return f"{name} would run; nothing that is remembered says why"
    more = f", and for {total - 1} more causes" if total > 1 else ""
    return f"{name} would run because {causes[0]['text']}{more}"
