"""Turns a validated graph into what the evaluator runs: integers instead of ids, digests, and a plan per target.

A `CompiledGraph` is immutable but for its cache of plans; an edit makes a new one (`recompile`). No recursion, so a
chain of 100,000 nodes compiles. Must not evaluate anything. Called by `demand.evaluator`; the graph has passed
`graph.validate`.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from sys import intern
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.node import ERROR_PORT, NodeSpec, NodeType
from graphport.core.version import VERSION
from graphport.graph.definitions import definitions_of
from graphport.graph.digest import XXH3
from graphport.graph.handlers import positional
from graphport.graph.model import static_input
from graphport.graph.owned import owning_handler
from graphport.graph.plan import made, planning
from graphport.graph.type_stats import TypeStats
from graphport.graph.values import own_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from graphport.graph.catalogue import Catalogue
    from graphport.graph.definitions import Definition
    from graphport.graph.digest import Hasher
    from graphport.graph.model import Graph
    from graphport.graph.plan import Edge, Plan

INLINE: Final = 0
ASYNC: Final = 1
THREAD: Final = 2
ALL_SINKS: Final = "*"
# A host node awaits the host's answer.
_EXECUTION: Final = {"inline": INLINE, "async": ASYNC, "thread": THREAD, "host": ASYNC}

# Where in a graph is what is demanded: a node, or several.
Target = int | tuple[int, ...]

# Plans are kept per target until they hold this many nodes together.
_PLANNED_NODES_KEPT: Final = 1_000_000


class CompiledNode:
    """One node, ready to run.

    Attributes:
        index: position in `CompiledGraph.nodes`.
        direct: for inline nodes whose function may be called with its inputs in order: the function, its output's name,
            `base` as a list, and the place of each port in it.
        base: value of every input port before edges and demand inputs: data, else setting, else default.
        edges: in-edges in the order of the graph's edge list, with graph-wide source positions.
        required: names of required ports that neither `base` nor an edge fills; demands must.
        stats: shared by all nodes of the type in one engine.
        static_digest: covers type, version, code, `base` without the ports that edges fill, and how edges attach.
        routes_error: an edge leads from its error port, so that its failure goes there and ends no demand.
        branches: some of its outputs may turn out dead: a gate, or one that routes its error.
        given: makes of a value that others hold too what this node may have: itself, or a copy.
        needs_seed: `seeded`, and nothing in the graph gives a seed.
        streams: the output ports that may be streamed.
        identity: says what its result depends on beside its inputs, if it may be kept and depends on more.
        policy: what the type says about keeping its results, if they may be kept.
        stored: results go to the persistent store, if there is one.
        departs: it is a flight from its start, because it may stream or evaluates a graph of its own.
        hosted: the host runs it, in a flight too.
    """

    __slots__ = (
        "base",
        "branches",
        "cacheable",
        "content_digest",
        "departs",
        "direct",
        "edges",
        "execution",
        "gate",
        "given",
        "handler",
        "hosted",
        "id",
        "identity",
        "index",
        "needs_seed",
        "output_names",
        "policy",
        "required",
        "routes_error",
        "static_digest",
        "stats",
        "stored",
        "streams",
        "timeout_s",
        "type",
    )

    def __init__(self, index: int, node_id: str, node_type: NodeType, stats: TypeStats) -> None:
        spec = node_type.spec
        self.index = index
        self.id = node_id
        self.type = node_type
        self.handler: Callable[[dict[str, Any], Any], Any] = owning_handler(node_type)
        self.execution = _EXECUTION[spec.execution]
        self.given: Callable[[Any], Any] = _same if node_type.trusted else own_copy
        self.gate = self.branches = spec.gate
        self.routes_error = False
        self.cacheable = spec.effect in ("pure", "seeded")
        self.content_digest = spec.content_digest and self.cacheable
        self.streams = frozenset(port.name for port in spec.outputs if port.stream)
        self.departs = bool(self.streams) or node_type.inner is not None
        self.hosted = spec.execution == "host"
        self.stats = stats
        self.timeout_s = None if spec.timeout_ms is None else spec.timeout_ms / 1000
        self.identity = node_type.identity if self.cacheable else None
        self.policy = node_type.cache if self.cacheable else None
        wanted = None if self.policy is None else self.policy.store
        self.stored = self.cacheable and (self.execution != INLINE if wanted is None else wanted)
        self.output_names = dict.fromkeys(port.name for port in spec.outputs).keys()
        self.base: dict[str, Any] = {}
        self.direct: tuple[Callable[..., Any], str, list[Any], dict[str, int]] | None = None
        self.edges: tuple[Edge, ...] = ()
        self.required: tuple[str, ...] = ()
        self.needs_seed = False
        self.static_digest = b""

    def at(self, index: int, edges: tuple[Edge, ...]) -> CompiledNode:
        """The same node at another place, its sources perhaps too."""
        node = CompiledNode.__new__(CompiledNode)
        for name in CompiledNode.__slots__:
            setattr(node, name, getattr(self, name))
        node.index, node.edges = index, edges
        return node


def _same(value: Any) -> Any:
    return value


_AWAITS_TARGETS: Final = NodeType(
    spec=NodeSpec(type="targets", effect="volatile", execution="inline"), handler=lambda *_: {}, code_digest=b""
)


class CompiledGraph:
    """A graph at one revision.

    Attributes:
        revision: counts edits, from 1.
        nodes: all nodes; a node's `index` is its place here.
        index: node id to place.
        sinks: ids of nodes that nothing reads.
        hasher: what its digests are made by, and its keys are to be.
        source: what it was compiled from.
    """

    __slots__ = (
        "_consumers",
        "_planned_nodes",
        "_plans",
        "has_structure",
        "hasher",
        "index",
        "nodes",
        "revision",
        "sinks",
        "source",
    )

    def __init__(
        self,
        graph: Graph,
        catalogue: Catalogue,
        *,
        revision: int = 1,
        stats: dict[str, TypeStats] | None = None,
        hasher: Hasher = XXH3,
        definition: Definition | None = None,
    ) -> None:
        self._begin(graph, revision, hasher)
        stats = {} if stats is None else stats
        definition = definitions_of(graph, catalogue).root if definition is None else definition
        self.has_structure = bool(definition.types)
        for place, node in enumerate(graph.nodes):
            node_type = definition.type_of(node)
            if node_type is None:
                raise KeyError(node.type)  # validation precedes compilation
            of_type = stats.setdefault(node.type, TypeStats())
            self.nodes.append(CompiledNode(place, node.id, node_type, of_type))
            self.index[node.id] = place
        incoming: list[list[Edge]] = [[] for _ in self.nodes]
        read = bytearray(len(self.nodes))
        many = Collecting()
        for edge in graph.edges:
            source, target = self.index[edge.source], self.index[edge.target]
            node_type = self.nodes[target].type
            collects = many.port(node_type, edge.target_handle)
            # Names of ports are compared for every value that passes: fastest if equal ones are the same object.
            incoming[target].append((source, intern(edge.source_handle), intern(edge.target_handle), collects))
            read[source] = 1
            if edge.source_handle == ERROR_PORT:
                self.nodes[source].routes_error = self.nodes[source].branches = True
        digests = DigestParts(hasher)
        for compiled, model, edges in zip(self.nodes, graph.nodes, incoming, strict=True):
            fill(compiled, model.data, graph.settings, edges, digests)
        self.sinks: list[str] = [node.id for node in self.nodes if not read[node.index]]

    def _begin(self, graph: Graph, revision: int, hasher: Hasher) -> None:
        self.hasher = hasher
        self.source = graph
        self.revision = revision
        self.has_structure = False
        self.nodes: list[CompiledNode] = []
        self.index: dict[str, int] = {}
        self._consumers: list[list[int]] | None = None
        self._plans: OrderedDict[Target, Plan] = OrderedDict()
        self._planned_nodes = 0

    @classmethod
    def of_parts(
        cls,
        graph: Graph,
        nodes: list[CompiledNode],
        index: dict[str, int],
        sinks: list[str],
        consumers: list[list[int]],
        *,
        revision: int,
        hasher: Hasher,
    ) -> CompiledGraph:
        """A graph of nodes that are compiled already; see the attributes, and `consumers`."""
        made = cls.__new__(cls)
        made._begin(graph, revision, hasher)
        made.nodes, made.index, made._consumers = nodes, index, consumers
        made.sinks = sinks
        return made

    def consumers(self) -> list[list[int]]:
        """Per node the places of those that read it, each once. Found at the first call, which is that of an edit."""
        if self._consumers is None:
            self._consumers = readers(self.nodes)
        return self._consumers

    def plans(self) -> list[tuple[Target, Plan]]:
        """The plans made so far, with their targets."""
        return list(self._plans.items())

    def plan_of(self, node_id: str) -> Plan | None:
        """The plan for a node, made now if there is none yet; None if the graph has no node of that id."""
        index = self.index.get(node_id)
        if index is None:
            return None
        return self._plans.get(index) or made(self.planning(index))

    def known_plan(self, target: Target) -> Plan | None:
        """The plan for a target, or for several, if it was made before."""
        return self._plans.get(target)

    def planning(self, target: Target) -> Generator[None, None, Plan]:
        """Make the plan for a target, or for several different ones, bit by bit; it is kept for next time."""
        plan = self._plans.get(target)
        if plan is None:
            plan = yield from planning(
                self.nodes, target, CompiledNode(-1, "", _AWAITS_TARGETS, TypeStats()), self.hasher
            )
            self.keep(target, plan)
        return plan

    def keep(self, target: Target, plan: Plan) -> None:
        """Keep a plan for next time; the oldest ones go when there are too many."""
        if target in self._plans:
            return  # two demands made it at once
        self._plans[target] = plan
        self._planned_nodes += len(plan.nodes)
        while self._planned_nodes > _PLANNED_NODES_KEPT and len(self._plans) > 1:
            _, dropped = self._plans.popitem(last=False)
            self._planned_nodes -= len(dropped.nodes)


def compiled(definition: Definition, stats: dict[str, TypeStats], hasher: Hasher) -> CompiledGraph:
    """A graph within a graph, compiled once."""
    made: CompiledGraph | None = definition.compiled
    if made is None:
        made = definition.compiled = CompiledGraph(
            definition.graph, definition.catalogue, stats=stats, hasher=hasher, definition=definition
        )
    return made


def readers(nodes: list[CompiledNode]) -> list[list[int]]:
    """Per node the places of those that read it, each once."""
    found: list[list[int]] = [[] for _ in nodes]
    for node in nodes:
        for source in dict.fromkeys([edge[0] for edge in node.edges]):
            found[source].append(node.index)
    return found


class Collecting:
    """Remembers per type and port whether the port collects many edges."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], bool] = {}

    def port(self, node_type: NodeType, name: str) -> bool:
        """Whether that input of the type does."""
        key = (id(node_type), name)
        known = self._known.get(key)
        if known is None:
            port = node_type.spec.input(name)
            known = self._known[key] = port is not None and port.multiple
        return known


class DigestParts:
    """Digests that many nodes of one graph share."""

    def __init__(self, hasher: Hasher) -> None:
        self.hasher = hasher
        self._types: dict[int, bytes] = {}

    def of_type(self, node_type: NodeType) -> bytes:
        """What the type adds to the static digest of each of its nodes."""
        spec = node_type.spec
        known = self._types.get(id(node_type))
        if known is None:
            head = f"{VERSION}\0{spec.type}\0{spec.version}\0{spec.effect}\0".encode()
            known = self._types[id(node_type)] = self.hasher.hash(head + node_type.code_digest)
        return known


def fill(
    node: CompiledNode,
    data: dict[str, Any],
    settings: dict[str, Any],
    edges: Iterable[Edge],
    digests: DigestParts,
) -> None:
    """Give a node its edges, base inputs and static digest."""
    node.edges = tuple(edges)
    by_edge = {edge[2] for edge in node.edges}
    required: list[str] = []
    digested: list[Any] = []
    seed_given = "seed" in by_edge
    for port in node.type.spec.inputs:
        name = port.name
        given, value = static_input(port, data, settings)
        if port.multiple and (value is None or name in by_edge):
            value = []  # where all edges are dead, nothing comes, and not the data that they outrank
        node.base[name] = value
        if name in by_edge:
            continue
        digested.append((name, value))
        seed_given = seed_given or (name == "seed" and given and value is not None)
        if port.required and not given and value is None:
            required.append(name)
    node.required = tuple(required)
    if node.execution == INLINE and (call := positional(node.handler, tuple(node.base))) is not None:
        node.direct = (*call, list(node.base.values()), {name: place for place, name in enumerate(node.base)})
    node.needs_seed = node.type.spec.effect == "seeded" and not seed_given
    attached = [edge[1:3] for edge in node.edges]
    values = digests.hasher.digest([digested, attached])
    if values is None:
        # Data that is not plain cannot come over the wire; a graph built in Python is then never shared.
        values = os.urandom(16)
    node.static_digest = digests.hasher.hash(digests.of_type(node.type) + values)
