"""The naive evaluator: what a demand has to give, and which nodes have to run for it, written to be read.

It is the specification that the real evaluator is held to. It recurses, hashes nothing, forgets nothing and knows no
time: a node is settled by settling what it needs. Graphs are small here.

The rules, each in the function of that name:
- an input comes from the demand, else an edge, else the node's data, else a setting, else the default (`_inputs`);
- a key says which executions give the same result (`_early_key`, `_late_key`);
- what the cache has needs nothing and is not run (`settle`);
- a node behind a gate asks what may be dead first, and is skipped if it is (`_is_dead`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.random_nodes import DEFAULT, SETTING, Kind, compute, frozen, identity

if TYPE_CHECKING:
    from collections.abc import Callable

Key = int
Given = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class DrawnNode:
    """A node: its kind, and its data, of which `k` differs from node to node."""

    id: str
    kind: Kind
    data: dict[str, Any]


@dataclass(frozen=True)
class DrawnEdge:
    """From an output port to an input port."""

    source: str
    out: str
    target: str
    port: str


@dataclass
class DrawnGraph:
    """A graph, sources first. Nobody changes one that is in use."""

    nodes: dict[str, DrawnNode] = field(default_factory=dict)
    edges: list[DrawnEdge] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def into(self, node_id: str) -> list[DrawnEdge]:
        """Edges into a node, in the order of the graph."""
        return [edge for edge in self.edges if edge.target == node_id]

    def sinks(self) -> list[str]:
        """Nodes that no edge leaves."""
        read = {edge.source for edge in self.edges}
        return [node_id for node_id in self.nodes if node_id not in read]

    def above(self, targets: list[str]) -> set[str]:
        """The targets and all that lead to them."""
        found: set[str] = set()
        waiting = list(targets)
        while waiting:
            node_id = waiting.pop()
            if node_id not in found:
                found.add(node_id)
                waiting += [edge.source for edge in self.into(node_id)]
        return found

    def static(self, node_id: str) -> dict[str, Any]:
        """What the graph itself gives a node: data, else setting, else default."""
        node = self.nodes[node_id]
        values: dict[str, Any] = {}
        for port in ("k", *node.kind.ports):
            value = node.data.get(port)
            if value is None and port == "a":
                value = self.settings.get(SETTING)
                value = DEFAULT if value is None else value
            values[port] = [] if value is None and port in node.kind.many else value
        return values

    def alone(self, node_id: str) -> Any:
        """All that a node's result hangs on but for the results of others."""
        edges = self.into(node_id)
        by_edge = {edge.port for edge in edges}
        own = {port: value for port, value in self.static(node_id).items() if port not in by_edge}
        return self.nodes[node_id].kind.name, frozen(own), edges

    def dirty_since(self, before: DrawnGraph) -> list[str]:
        """Nodes that are other ones than before, and everything downstream, in order."""
        dirty: set[str] = set()
        for name in self.nodes:  # sources first
            changed = name not in before.nodes or self.alone(name) != before.alone(name)
            if changed or any(edge.source in dirty for edge in self.into(name)):
                dirty.add(name)
        return [name for name in self.nodes if name in dirty]

    def to_json(self) -> dict[str, Any]:
        """As it is opened."""
        return {
            "nodes": [{"id": node.id, "type": node.kind.name, "data": node.data} for node in self.nodes.values()],
            "edges": [
                {"source": edge.source, "source_handle": edge.out, "target": edge.target, "target_handle": edge.port}
                for edge in self.edges
            ],
            "settings": self.settings,
        }


@dataclass(frozen=True)
class Settled:
    """What became of a node.

    Attributes:
        key: of the execution; None if it is skipped.
        outputs: by port, of a gate the live one only; None if it is skipped or failed.
        skipped: it lies behind a dead port.
        ran: it was executed, and not found.
        failed: it, or something it needs, failed.
    """

    key: Key | None = None
    outputs: dict[str, Any] | None = None
    skipped: bool = False
    ran: bool = False
    failed: bool = False

    def alive(self, port: str) -> bool:
        """Whether an edge from that port brings something."""
        return not self.skipped and (self.outputs is None or port in self.outputs)


@dataclass
class Knowledge:
    """What outlasts a demand.

    Attributes:
        cache: results by key.
        identities: what the execution of a key looks like from outside.
    """

    cache: dict[Key, dict[str, Any]] = field(default_factory=dict)
    identities: dict[Key, Any] = field(default_factory=dict)
    _keys: dict[Any, Key] = field(default_factory=dict)

    def key(self, *parts: Any) -> Key:
        """The same number for the same parts, another one for others."""
        return self._keys.setdefault(parts, len(self._keys))


class Reference:
    """One demand, evaluated.

    Args:
        graph: the session's graph.
        targets: what is demanded.
        given: the demand's own inputs.
        knowledge: the cache is read, and changed by `remember` only.
        demand: its number, different for each.
        seed: the seed that is drawn for a node which is given none.
    """

    def __init__(
        self,
        graph: DrawnGraph,
        targets: list[str],
        given: Given,
        knowledge: Knowledge,
        demand: int,
        seed: Callable[[str], int],
    ) -> None:
        self._graph = graph
        self._given = given
        self._knowledge = knowledge
        self._demand = demand
        self._seed = seed
        self.targets = targets
        self.settled: dict[str, Settled] = {}
        for target in targets:
            self.settle(target)

    # What comes of it

    @property
    def fails(self) -> bool:
        """Whether a node fails that it needs."""
        return any(settled.failed for settled in self.settled.values())

    @property
    def ran(self) -> list[Key]:
        """Keys of what has to be executed; if a node fails, of what may be."""
        return [settled.key for settled in self.settled.values() if settled.ran and settled.key is not None]

    @property
    def lasting(self) -> set[Key]:
        """Those of `ran` whose results the cache can give to others."""
        rows = self.settled.items()
        return {one.key for name, one in rows if one.ran and one.key is not None and self._recurs(name)}

    def outputs(self) -> dict[str, dict[str, Any]]:
        """The answer, by target: of a gate both branches, null for the dead one; of a skipped node nothing."""
        answer = {}
        for target in self.targets:
            outputs, kind = self.settled[target].outputs, self._graph.nodes[target].kind
            nulls = dict.fromkeys(kind.outputs) if kind.gate and outputs is not None else {}
            answer[target] = nulls | (outputs or {})
        return answer

    @property
    def skipped(self) -> bool:
        """Whether all targets are skipped."""
        return bool(self.targets) and all(self.settled[target].skipped for target in self.targets)

    def remember(self) -> None:
        """The demand was answered: the cache has what it ran."""
        for name, settled in self.settled.items():
            if settled.ran and settled.outputs is not None and self._recurs(name):
                self._knowledge.cache[settled.key] = settled.outputs  # type: ignore[index]

    # The rules

    def settle(self, name: str) -> Settled:
        """Settle a node, and before it what it needs."""
        if name not in self.settled:
            self.settled[name] = self._settle(name)
        return self.settled[name]

    def _settle(self, name: str) -> Settled:
        key = self._early_key(name)
        if key in self._knowledge.cache:
            return Settled(key, self._knowledge.cache[key])
        edges = self._edges(name)
        doubtful = [edge for edge in edges if self._may_be_dead(edge)]
        for asked in (doubtful, edges):  # what may be dead first
            failed = [edge for edge in asked if self.settle(edge.source).failed]
            if asked and not failed and self._is_dead(name, asked):
                return Settled(skipped=True)
        if any(self.settle(edge.source).failed for edge in edges):
            return Settled(failed=True)
        key = self._late_key(name)
        if key in self._knowledge.cache:
            return Settled(key, self._knowledge.cache[key])
        inputs = self._inputs(name)
        kind = self._graph.nodes[name].kind
        self._knowledge.identities[key] = identity(kind, inputs)
        try:
            return Settled(key, compute(kind, inputs), ran=True)
        except ValueError:
            return Settled(key, ran=True, failed=True)

    def _edges(self, name: str) -> list[DrawnEdge]:
        """Edges into a node but for ports that the demand fills."""
        own = self._given.get(name, {})
        return [edge for edge in self._graph.into(name) if edge.port not in own]

    def _may_be_dead(self, edge: DrawnEdge) -> bool:
        return self._graph.nodes[edge.source].kind.gate or self._may_be_skipped(edge.source)

    def _may_be_skipped(self, name: str) -> bool:
        """By the graph, whatever the demand gives."""
        kind, edges = self._graph.nodes[name].kind, self._graph.into(name)
        doubtful = [edge for edge in edges if self._may_be_dead(edge)]
        return bool(doubtful) and (len(doubtful) == len(edges) or any(edge.port in kind.single for edge in doubtful))

    def _is_dead(self, name: str, asked: list[DrawnEdge]) -> bool:
        """One dead edge into a single port is enough; of others all that lead to the node have to be dead."""
        kind = self._graph.nodes[name].kind
        dead = [edge for edge in asked if not self.settle(edge.source).alive(edge.out)]
        return len(dead) == len(self._edges(name)) or any(edge.port in kind.single for edge in dead)

    def _recurs(self, name: str) -> bool:
        """Whether the key can come again: no source is new for each demand, or its content is what counts."""
        kind = self._graph.nodes[name].kind
        return kind.cacheable and all(
            self._graph.nodes[edge.source].kind.digest or self._recurs(edge.source) for edge in self._edges(name)
        )

    def _early_key(self, name: str) -> Key | None:
        """The key, if it is known before anything is settled: no gate and no content above."""
        parts = []
        for edge in self._edges(name):
            kind = self._graph.nodes[edge.source].kind
            key = self._early_key(edge.source)
            if key is None or kind.gate or kind.digest:
                return None
            parts.append(key)
        return self._key(name, parts)

    def _late_key(self, name: str) -> Key:
        """The key, when all sources are settled."""
        parts: list[Any] = []
        for edge in self._edges(name):
            settled = self.settle(edge.source)
            if not settled.alive(edge.out):
                parts.append("dead")
            elif self._graph.nodes[edge.source].kind.digest:
                parts.append(("content", settled.outputs[edge.out]))  # type: ignore[index]
            else:
                parts.append(settled.key)
        return self._key(name, parts)

    def _key(self, name: str, parts: list[Any]) -> Key:
        node, own = self._graph.nodes[name], self._given.get(name, {})
        if not node.kind.cacheable:
            return self._knowledge.key("once", self._demand, name)
        by_edge = {edge.port for edge in self._graph.into(name)}
        static = {port: value for port, value in self._graph.static(name).items() if port not in by_edge}
        attached = tuple((edge.out, edge.port) for edge in self._graph.into(name))
        return self._knowledge.key(
            node.kind.name, frozen(static), attached, frozen(own), self._drawn_seed(name), tuple(parts)
        )

    def _drawn_seed(self, name: str) -> int | None:
        """The seed that is drawn for the node, None if it needs none or has one."""
        node = self._graph.nodes[name]
        given = node.data.get("seed") is not None or self._given.get(name, {}).get("seed") is not None
        by_edge = any(edge.port == "seed" for edge in self._graph.into(name))
        return None if node.kind.effect != "seeded" or given or by_edge else self._seed(name)

    def _inputs(self, name: str) -> dict[str, Any]:
        kind = self._graph.nodes[name].kind
        inputs = self._graph.static(name)
        edges = self._graph.into(name)
        inputs.update({edge.port: [] for edge in edges if edge.port in kind.many})
        for edge in self._edges(name):
            settled = self.settle(edge.source)
            if settled.alive(edge.out):
                value = settled.outputs[edge.out]  # type: ignore[index]
                inputs[edge.port] = [*inputs[edge.port], value] if edge.port in kind.many else value
        inputs.update(self._given.get(name, {}))
        if "seed" in inputs and inputs["seed"] is None:
            inputs["seed"] = self._drawn_seed(name)
        return inputs
