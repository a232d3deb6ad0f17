"""Where an output comes from: of each node behind it the type, version, code, key, and what it was given by whom.

A demand that asks has a sink of this kind before its own, which adds `provenance` to the `meta` of its answer. Other
runs know nothing of this. Made by `evaluator`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphport.contracts.node import ERROR_PORT
from graphport.demand.needs import SKIPPED
from graphport.demand.questions.trace import TracingSink

if TYPE_CHECKING:
    from graphport.contracts.sink import DemandSink, Target
    from graphport.core.errors import GraphportError
    from graphport.demand.run import Run
    from graphport.graph.compile import CompiledNode


class ProvenanceSink:
    """Stands before a run's sink.

    Args:
        sink: the run's own.
        caller: what the demand has brought along, given back as it came; None for nothing.
        events: the demand wants its other events too.

    Attributes:
        run: the run, set before it starts.
    """

    run: Run

    def __init__(self, sink: DemandSink, caller: dict[str, Any] | None, *, events: bool) -> None:
        self._sink = sink
        self._caller = caller
        self._events = events
        self._ran: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        # Chunks, back-pressure and failures are the sink's own.
        return getattr(self._sink, name)

    def is_for(self, run: Run) -> None:
        """Say whose sink it is; the one behind it may want to know too."""
        self.run = run
        if isinstance(self._sink, TracingSink):
            self._sink.is_for(run)

    def event(self, demand: int, node: str, event: dict[str, Any]) -> None:
        """See `DemandSink.event`."""
        if event["event"] == "started":
            self._ran.add(node)
        if self._events:
            self._sink.event(demand, node, event)

    def complete(self, demand: int, node: Target, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        """See `DemandSink.complete`."""
        told: dict[str, Any] = {"nodes": provenance_of(self.run, self._ran)}
        if self._caller is not None:
            told["caller"] = self._caller
        self._sink.complete(demand, node, outputs, {**meta, "provenance": told})

    def fail(self, demand: int, node: Target, error: GraphportError) -> None:
        """See `DemandSink.fail`. What failed has no provenance."""
        self._sink.fail(demand, node, error)


def provenance_of(run: Run, ran: set[str]) -> dict[str, dict[str, Any]]:
    """Node id to what its outputs came from, for all nodes behind the targets of a run that is done.

    Args:
        run: the run.
        ran: ids of the nodes that were executed for it; the others were found in the cache, or were not even needed.
    """
    plan = run.plan
    waiting = list(plan.targets) if plan.targets is not None else [len(run.results) - 1]
    seen = set(waiting)
    found: dict[str, dict[str, Any]] = {}
    while waiting:
        place = waiting.pop()
        node, outputs = plan.nodes[place], run.results[place]
        found[node.id] = _of_node(run, place, node, node.id in ran)
        if outputs is SKIPPED:
            continue
        for source, port, _, _ in run.edges[place]:
            if source not in seen and not _is_dead(run, source, port):
                seen.add(source)
                waiting.append(source)
    return found


def _of_node(run: Run, place: int, node: CompiledNode, executed: bool) -> dict[str, Any]:
    spec, outputs, key = node.type.spec, run.results[place], run.keys[place]
    facts: dict[str, Any] = {
        "type": spec.type,
        "version": spec.version,
        "code": node.type.code_digest.hex(),
        "effect": spec.effect,
        "key": None if key is None else key.hex(),
        "cached": not executed and outputs is not SKIPPED,
        "inputs": _inputs(run, place, node),
    }
    if outputs is SKIPPED:
        facts["skipped"] = True
    elif outputs is not None and ERROR_PORT in outputs:
        facts["error"] = outputs[ERROR_PORT]["code"]
    if place in run.seeds:
        facts["seed"] = run.seeds[place]
    return facts


def _inputs(run: Run, place: int, node: CompiledNode) -> dict[str, Any]:
    """Input port to what gave it: edges with node, port and key, a list of many; else who, and the value's digest."""
    given = run.inputs.get(place, {})
    found: dict[str, Any] = {name: _value(run, "demand", value) for name, value in given.items()}
    for source, port, into, many in run.edges[place]:
        key = run.keys[source]
        edge: dict[str, Any] = {
            "from": "edge",
            "node": run.plan.nodes[source].id,
            "port": port,
            "key": None if key is None else key.hex(),
        }
        if _is_dead(run, source, port):
            edge["dead"] = True
        if many:
            found.setdefault(into, []).append(edge)
        else:
            found[into] = edge
    source_node = run.graph.source.nodes[node.index] if node.index >= 0 else None
    for spec_port in node.type.spec.inputs:
        if spec_port.name in found:
            continue
        if source_node is not None and source_node.data.get(spec_port.name) is not None:
            origin = "data"
        elif spec_port.setting is not None and run.graph.source.settings.get(spec_port.setting) is not None:
            origin = "setting"
        else:
            origin = "default"
        found[spec_port.name] = _value(run, origin, node.base[spec_port.name])
    return found


def _value(run: Run, origin: str, value: Any) -> dict[str, Any]:
    digest = run.plan.hasher.digest(value)
    return {"from": origin, "digest": None if digest is None else digest.hex()}


def _is_dead(run: Run, source: int, port: str) -> bool:
    outputs = run.results[source]
    return outputs is not None and port not in outputs
