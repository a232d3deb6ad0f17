"""Compiles an edited graph from the one it was made of: what the edits do not reach is taken over.

Compiled nodes, plans and their keys that no edit touches are shared with the graph before, so that setting a value in a
graph of 100,000 nodes does not compile 100,000 nodes. The graph before stays as it is, for the demands that see it.
Must not evaluate anything. Called by the evaluator, from any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Any

from graphport.contracts.node import ERROR_PORT
from graphport.graph.compile import (
    Collecting,
    CompiledGraph,
    CompiledNode,
    DigestParts,
    Target,
    fill,
    readers,
)
from graphport.graph.definitions import definitions_of
from graphport.graph.edit import Draft
from graphport.graph.model import Edge, Graph, invalid_graph
from graphport.graph.size import size_faults
from graphport.graph.type_stats import TypeStats
from graphport.graph.validate import faults_of, find_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from graphport.contracts.node import NodeType
    from graphport.graph.catalogue import Catalogue
    from graphport.graph.plan import Edge as PlanEdge
    from graphport.graph.plan import Plan


@dataclass(frozen=True, slots=True)
class Recompiled:
    """What came of edits.

    Attributes:
        graph: the graph as it is now.
        dirty: ids of the nodes that changed and of everything downstream, in the order of the graph's nodes.
        removed: ids of nodes that are there no more.
    """

    graph: CompiledGraph
    dirty: list[str]
    removed: frozenset[str]


def recompile(
    base: CompiledGraph, edits: Sequence[Any], catalogue: Catalogue, *, stats: dict[str, TypeStats]
) -> Recompiled:
    """Apply edits, all of them or none.

    Raises:
        GraphInvalid: with every fault of the edits and of what the graph would be.
    """
    draft = Draft(base)
    draft.apply(edits)
    if _is_too_large(draft):
        raise _refusal(draft, catalogue)
    if _has_structure(draft, catalogue):
        return _recompiled_whole(draft, catalogue, stats)
    touched = draft.rewired() | draft.edited | _asking(draft, catalogue)
    incoming = draft.incoming()
    if not all(map(draft.has, draft.targets_of_added)):
        raise _refusal(draft, catalogue)
    if draft.reading.faults or find_faults(_surroundings(draft, touched, incoming), catalogue, inputs_of=touched):
        raise _refusal(draft, catalogue)
    work = _Work(draft, touched, catalogue, stats)
    work.compile(incoming)
    starts = [work.index[node_id] for node_id in draft.targets_of_added]
    if starts and _in_circle(work.nodes, starts):
        raise _refusal(draft, catalogue)
    graph = work.graph()
    return Recompiled(graph, work.dirty(graph), frozenset(each for each in draft.removed if not draft.has(each)))


def _is_too_large(draft: Draft) -> bool:
    if not size_faults(*draft.size()):
        return False
    graph = draft.graph()
    return bool(size_faults(len(graph.nodes), len(graph.edges)))


def _has_structure(draft: Draft, catalogue: Catalogue) -> bool:
    """Whether some node, before or after, has ports of its own: those may change with anything in the graph."""
    if draft.base.has_structure:
        return True
    types = {draft.node(node_id).type for node_id in draft.put if draft.has(node_id)}
    found = [catalogue.get(name) for name in types]
    return any(each is not None and each.shape is not None for each in found)


def _recompiled_whole(draft: Draft, catalogue: Catalogue, stats: dict[str, TypeStats]) -> Recompiled:
    """The same for graphs that hold graphs: everything is compiled, but for inner graphs that are as they were."""
    base = draft.base
    source = draft.reading.graph = draft.graph()
    faults = faults_of(draft.reading, catalogue)
    if faults:
        raise invalid_graph(faults)
    before = {each.digest: each.compiled for each in definitions_of(base.source, catalogue).all if each.compiled}
    for definition in definitions_of(source, catalogue).all[1:]:
        definition.compiled = before.get(definition.digest)
    graph = CompiledGraph(source, catalogue, revision=base.revision + 1, stats=stats, hasher=base.hasher)
    roots = [node.index for node in graph.nodes if not _is_as_before(node, graph, base)]
    removed = frozenset(each for each in draft.removed if not draft.has(each))
    return Recompiled(graph, downstream(graph, roots), removed)


def _is_as_before(node: CompiledNode, graph: CompiledGraph, base: CompiledGraph) -> bool:
    place = base.index.get(node.id)
    if place is None or base.nodes[place].static_digest != node.static_digest:
        return False
    before = [(base.nodes[source].id, out, into) for source, out, into, _ in base.nodes[place].edges]
    return before == [(graph.nodes[source].id, out, into) for source, out, into, _ in node.edges]


def downstream(graph: CompiledGraph, roots: list[int]) -> list[str]:
    """Ids of these nodes and of everything downstream, in the graph's order."""
    consumers = graph.consumers()
    seen = bytearray(len(graph.nodes))
    found = list(roots)
    for place in found:
        seen[place] = 1
    for place in found:  # grows
        for consumer in consumers[place]:
            if not seen[consumer]:
                seen[consumer] = 1
                found.append(consumer)
    return [graph.nodes[place].id for place in sorted(found)]


def _refusal(draft: Draft, catalogue: Catalogue) -> Exception:
    """All that is wrong. Looks through the whole graph, which only a refused edit has to pay for."""
    draft.reading.graph = draft.graph()
    return invalid_graph(faults_of(draft.reading, catalogue))


def _asking(draft: Draft, catalogue: Catalogue) -> set[str]:
    """Ids of the nodes with an input that asks for one of the settings that were given."""
    if not draft.settings_set:
        return set()
    asks: dict[str, bool] = {}
    found = set()
    for node in draft.base.nodes:
        spec = node.type.spec
        known = asks.get(spec.type)
        if known is None:
            known = asks[spec.type] = any(port.setting in draft.settings_set for port in spec.inputs)
        if known and draft.has(node.id):
            found.add(node.id)
    return found


def _surroundings(
    draft: Draft, touched: Collection[str], incoming: Callable[[str], list[tuple[str, str, str]]]
) -> Graph:
    """The part of the graph in which there can be a fault, circles aside."""
    around: dict[str, None] = dict.fromkeys(touched)
    edges: list[Edge] = []

    def note(source: str, out: str, target: str, into: str) -> None:
        edges.append(Edge.model_construct(source=source, source_handle=out, target=target, target_handle=into))
        around[source] = around[target] = None

    for target in touched:
        for source, out, into in incoming(target):
            note(source, out, target, into)
    # Edges from a node that may be of another type now.
    consumers = draft.base.consumers() if draft.put else []
    for source in draft.put - draft.removed:
        place = draft.base.index.get(source)
        for target in {draft.base.nodes[each].id for each in consumers[place]} if place is not None else ():
            if target not in touched and draft.has(target):
                for giver, out, into in incoming(target):
                    if giver == source:
                        note(source, out, target, into)
    nodes = tuple([draft.node(node_id) for node_id in around if draft.has(node_id)])
    return Graph.model_construct(nodes=nodes, edges=tuple(edges), settings=draft.settings)


class _Work:
    """One recompilation.

    Attributes:
        nodes: of the new graph.
        index: node id to place.
    """

    def __init__(
        self, draft: Draft, touched: Collection[str], catalogue: Catalogue, stats: dict[str, TypeStats]
    ) -> None:
        self._draft = draft
        self._base = draft.base
        self._touched = touched
        self._catalogue = catalogue
        self._stats = stats
        # Place in the base to place now, -1 for what is gone; None if all stay where they are.
        self._moved: list[int] | None = None
        self.nodes: list[CompiledNode] = self._base.nodes.copy()
        self.index = self._base.index
        # Places whose result may be another one, and places that plans cannot simply be told of.
        self._roots: list[int] = []
        self._recast: set[int] = set()
        # Ids of nodes that have an error edge now, or have none any more.
        self._rerouted: set[str] = set()

    def compile(self, incoming: Callable[[str], list[tuple[str, str, str]]]) -> None:
        """Make the nodes that are touched, and move those that stand elsewhere now."""
        if self._draft.removed:
            self._close_gaps()
        appended = self._draft.appended
        if appended:
            if self.index is self._base.index:
                self.index = self.index.copy()
            for node_id in appended:
                self.index[node_id] = len(self.nodes)
                self.nodes.append(self._bare(node_id))
        collecting, digests = Collecting(), DigestParts(self._base.hasher)
        for node_id in self._touched:
            place = self.index[node_id]
            before = None if node_id in self._draft.removed else self._before(node_id)
            node = self._bare(node_id)
            edges = [
                (self.index[source], intern(out), intern(into), collecting.port(node.type, into))
                for source, out, into in incoming(node_id)
            ]
            fill(node, self._draft.node(node_id).data, self._draft.settings, edges, digests)
            if before is not None and before.routes_error:
                node.routes_error = node.branches = True
            self.nodes[place] = node
            self._compare(before, node)

    def _bare(self, node_id: str) -> CompiledNode:
        name = self._draft.node(node_id).type
        node_type: NodeType = self._catalogue.get(name)  # type: ignore[assignment]  # its absence is a fault
        return CompiledNode(self.index[node_id], node_id, node_type, self._stats.setdefault(name, TypeStats()))

    def _before(self, node_id: str) -> CompiledNode | None:
        place = self._base.index.get(node_id)
        return None if place is None else self._base.nodes[place]

    def _compare(self, before: CompiledNode | None, node: CompiledNode) -> None:
        if before is None:
            self._roots.append(node.index)
            self._recast.add(node.index)
            return
        rewired = self._edges_now(before.edges) != node.edges
        if rewired or before.type is not node.type or before.needs_seed != node.needs_seed:
            self._recast.add(node.index)
        if rewired or before.type is not node.type or before.static_digest != node.static_digest:
            self._roots.append(node.index)

    def _close_gaps(self) -> None:
        """Nodes behind one that was removed move up."""
        removed = self._draft.removed
        self._moved = moved = []
        self.nodes, self.index = [], {}
        for node in self._base.nodes:
            if node.id in removed:
                moved.append(-1)
                continue
            moved.append(len(self.nodes))
            self.index[node.id] = len(self.nodes)
            self.nodes.append(node)
        first = moved.index(-1)
        for place, node in enumerate(self.nodes):
            if node.id not in self._touched and (place >= first or any(edge[0] > first for edge in node.edges)):
                self.nodes[place] = node.at(place, self._edges_now(node.edges))

    def _edges_now(self, edges: tuple[PlanEdge, ...]) -> tuple[PlanEdge, ...]:
        moved = self._moved
        if moved is None:
            return edges
        return tuple([(moved[source], out, into, many) for source, out, into, many in edges])

    def graph(self) -> CompiledGraph:
        """The new graph, with the plans that still hold."""
        base, nodes = self._base, self.nodes
        consumers, sinks = self._consumers(), base.sinks
        self._route_errors(consumers)
        if self._recast or self._moved is not None:
            sinks = [node.id for node in nodes if not consumers[node.index]]
        graph = CompiledGraph.of_parts(
            self._draft.graph(),
            nodes,
            self.index,
            sinks,
            consumers,
            revision=base.revision + 1,
            hasher=base.hasher,
        )
        for target, plan in base.plans():
            kept = self._plan(plan)
            if kept is not None:
                graph.keep(self._target(target), kept)
        return graph

    def _consumers(self) -> list[list[int]]:
        if self._moved is not None:
            return readers(self.nodes)
        consumers = self._base.consumers()
        if not self._recast:
            return consumers
        consumers = consumers + [[] for _ in range(len(self.nodes) - len(consumers))]
        before = {
            edge[0] for place in self._recast if place < len(self._base.nodes) for edge in self._base.nodes[place].edges
        }
        for source in before:
            consumers[source] = [place for place in consumers[source] if place not in self._recast]
        own = set(before)
        for place in sorted(self._recast):
            for source in dict.fromkeys([edge[0] for edge in self.nodes[place].edges]):
                if source not in own:
                    own.add(source)
                    consumers[source] = consumers[source].copy()
                consumers[source].append(place)
        return consumers

    def _route_errors(self, consumers: list[list[int]]) -> None:
        """Tell the nodes whose error edges came or went which of them have one now."""
        doubtful = [self.index[node_id] for node_id in self._draft.rerouted()]
        readers_of = dict.fromkeys([reader for place in doubtful for reader in consumers[place]])
        routing = {edge[0] for reader in readers_of for edge in self.nodes[reader].edges if edge[1] == ERROR_PORT}
        for place in doubtful:
            node = self.nodes[place]
            if node.routes_error == (place in routing):
                continue
            if node.id not in self._touched:
                node = self.nodes[place] = node.at(place, node.edges)
            node.routes_error = place in routing
            node.branches = node.gate or node.routes_error
            self._recast.add(place)
            self._rerouted.add(node.id)

    def _plan(self, plan: Plan) -> Plan | None:
        """The plan as it is now; None if it has to be made anew."""
        if not self._rerouted.isdisjoint(plan.position):
            return None
        few = self._touched if len(self._touched) < len(plan.position) else plan.position
        many = plan.position if few is self._touched else self._touched
        if self._draft.removed and not self._draft.removed.isdisjoint(plan.position):
            return None
        replaced: dict[int, CompiledNode] = {}
        for node_id in few:
            if node_id in many:
                place = self.index[node_id]
                if place in self._recast:
                    return None
                replaced[plan.position[node_id]] = self.nodes[place]
        return plan.with_nodes(replaced) if replaced else plan

    def _target(self, target: Target) -> Target:
        moved = self._moved
        if moved is None:
            return target
        return tuple([moved[place] for place in target]) if isinstance(target, tuple) else moved[target]

    def dirty(self, graph: CompiledGraph) -> list[str]:
        """Ids of the nodes whose result may be another one, and of everything downstream, in the graph's order."""
        return downstream(graph, self._roots)


def _in_circle(nodes: list[CompiledNode], starts: list[int]) -> bool:
    """Whether a circle leads through, or to, one of these places. Depth-first against the edges, without recursion."""
    under_way, done = 1, 2
    state = bytearray(len(nodes))
    for start in starts:
        if state[start]:
            continue
        state[start] = under_way
        stack = [(start, iter(nodes[start].edges))]
        while stack:
            place, edges = stack[-1]
            for edge in edges:
                source = edge[0]
                if state[source] == under_way:
                    return True
                if not state[source]:
                    state[source] = under_way
                    stack.append((source, iter(nodes[source].edges)))
                    break
            else:
                state[place] = done
                stack.pop()
    return False
