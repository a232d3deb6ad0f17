"""The part of a compiled graph that a target can need, in an order in which sources come first.

Made bit by bit, because a graph of 100,000 nodes takes longer than other demands should wait; no recursion. Must not
evaluate anything. Made by `compile.CompiledGraph`, which keeps plans; walked by `demand`.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final, TypeVar

from graphport.graph.values import FIXED

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from graphport.graph.compile import CompiledNode
    from graphport.graph.digest import Hasher

# An edge into a node: (source node, source port, this node's port, whether that port collects many).
Edge = tuple[int, str, str, bool]

# Nodes looked at between two pauses. A pause costs little, and one part of the work takes at most about a millisecond.
SLICE: Final = 512

# A node with more in-edges is itself looked at bit by bit.
WIDE: Final = 4_096

T = TypeVar("T")


def slices(count: int) -> Iterator[range]:
    """The numbers below `count` in ranges of `SLICE`."""
    return (range(first, min(first + SLICE, count)) for first in range(0, count, SLICE))


def made(work: Generator[None, None, T]) -> T:
    """What comes of a work that pauses, done without a pause."""
    try:
        while True:
            next(work)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


class Plan:
    """What one target, or several, can need. The target is last.

    The last node of a plan for several targets is none of the graph's: it awaits them all and reads none.
    Positions below are positions in the plan. `nodes[i]` has in-edges `edges[i]`, whose distinct sources are
    `sources[i]`; `consumers[i]` are the nodes that await `i`.

    Attributes:
        targets: places of the targets if there are several, else None.
        size: how many of the nodes are the graph's.
        hasher: what keys are made by.
        gated: per node the sources that may turn out dead and so decide first, or None where there are none.
        lazy: something in the plan can be known only while it runs: gates, or keys that hang on values.
        volatile: some node runs anew for every demand.
        seeded: nodes whose seed the evaluator draws.
        streaming: nodes that stream, or in which something may.
        policed: some node type has a policy for its results.
        storable: some node's results go to the persistent store, if there is one.
        plain: 1 for nodes whose inputs can be put together without any special case.
        keys: keys of all nodes, once computed, where they are the same for every demand without inputs of its own.
        keys_generation: the session's generation for which `keys` holds.
        answer: the target's outputs as they were last found in the cache, what the evaluator's sink made of them, and
            for which revision.
    """

    __slots__ = (
        "answer",
        "consumers",
        "edges",
        "gated",
        "hasher",
        "indegrees",
        "keys",
        "keys_generation",
        "lazy",
        "leaves",
        "nodes",
        "plain",
        "policed",
        "position",
        "seeded",
        "size",
        "sources",
        "storable",
        "streaming",
        "targets",
        "volatile",
    )

    def __init__(self, size: int, hasher: Hasher) -> None:
        self.size = size
        self.hasher = hasher
        self.nodes: list[CompiledNode] = []
        self.position: dict[str, int] = {}
        self.targets: tuple[int, ...] | None = None
        self.edges: list[tuple[Edge, ...]] = []
        self.sources: list[tuple[int, ...]] = []
        self.consumers: list[list[int]] = []
        self.indegrees: list[int] = []
        self.leaves: list[int] = []
        self.gated: list[tuple[int, ...] | None] = []
        self.lazy = self.volatile = self.policed = self.storable = False
        self.seeded: list[int] = []
        self.streaming: list[int] = []
        self.plain = bytearray()
        self.keys: list[bytes | None] | None = None
        self.keys_generation = -1
        self.answer: tuple[dict[str, Any], Any, int] | None = None

    def with_nodes(self, replaced: dict[int, CompiledNode]) -> Plan:
        """The plan with other nodes, by place, that have the same type and the same edges."""
        plan = copy.copy(self)
        plan.nodes, plan.plain = self.nodes.copy(), self.plain.copy()
        for place, node in replaced.items():
            plan.nodes[place] = node
            plan.plain[place] = _is_plain(node)
        plan.keys, plan.keys_generation, plan.answer = None, -1, None
        return plan


def planning(
    nodes: list[CompiledNode], target: int | tuple[int, ...], awaits_targets: CompiledNode, hasher: Hasher
) -> Generator[None, None, Plan]:
    """Make a plan.

    Args:
        nodes: of the graph.
        target: index of a node, or of several.
        awaits_targets: the node that comes last where there are several.
        hasher: what keys are to be made by.
    """
    targets = target if isinstance(target, tuple) else (target,)
    order = yield from _ordering(nodes, targets)
    plan = Plan(len(order), hasher)
    in_doubt = bytearray(len(order))
    place_of: dict[int, int] = {}
    for places in slices(len(order)):
        for place in places:
            node = nodes[order[place]]
            place_of[order[place]] = place
            if len(node.edges) <= WIDE:
                edges = tuple([(place_of[source], out, into, many) for source, out, into, many in node.edges])
                sources = tuple(dict.fromkeys([edge[0] for edge in edges]))
                _place(plan, place, node, edges, sources)
                for source in sources:
                    plan.consumers[source].append(place)
            else:
                yield from _place_wide(plan, place, node, place_of)
            plan.gated.append(_gated(plan, place, in_doubt))
        yield
    if isinstance(target, tuple):
        plan.targets = tuple(place_of[index] for index in target)
        plan.nodes.append(awaits_targets)
        plan.edges.append(())
        plan.sources.append(plan.targets)
        plan.consumers.append([])
        plan.plain.append(1)
        plan.volatile = True
        plan.gated.append(None)
        for source in plan.targets:
            plan.consumers[source].append(len(order))
        plan.indegrees.append(len(plan.targets))
        if not plan.targets:
            plan.leaves.append(0)
    return plan


def _place_wide(plan: Plan, place: int, node: CompiledNode, place_of: dict[int, int]) -> Generator[None, None, None]:
    edges: list[Edge] = []
    sources: dict[int, None] = {}
    for part in slices(len(node.edges)):
        for source, out, into, many in node.edges[part.start : part.stop]:
            edges.append((place_of[source], out, into, many))
            sources[place_of[source]] = None
        yield
    _place(plan, place, node, tuple(edges), tuple(sources))
    for part in slices(len(sources)):
        for source in plan.sources[place][part.start : part.stop]:
            plan.consumers[source].append(place)
        yield


def _place(plan: Plan, place: int, node: CompiledNode, edges: tuple[Edge, ...], sources: tuple[int, ...]) -> None:
    """Note a node, whose sources have been noted."""
    plan.nodes.append(node)
    plan.position[node.id] = place
    plan.edges.append(edges)
    plan.sources.append(sources)
    plan.consumers.append([])
    plan.indegrees.append(len(sources))
    if not sources:
        plan.leaves.append(place)
    plan.lazy = plan.lazy or node.branches or node.content_digest or node.identity is not None
    plan.volatile = plan.volatile or not node.cacheable
    plan.policed = plan.policed or node.policy is not None
    plan.storable = plan.storable or node.stored
    if node.needs_seed:
        plan.seeded.append(place)
    if node.departs:
        plan.streaming.append(place)
    plan.plain.append(_is_plain(node))


def _is_plain(node: CompiledNode) -> bool:
    return (
        not node.required
        and not node.needs_seed
        and node.policy is None
        and not any(edge[3] for edge in node.edges)
        and all(value.__class__ in FIXED for value in node.base.values())
    )


def _gated(plan: Plan, place: int, in_doubt: bytearray) -> tuple[int, ...] | None:
    """The sources behind which a gate stands. A merge of live and dead edges is not itself in doubt."""
    own = plan.edges[place]
    doubtful = [edge for edge in own if in_doubt[edge[0]] or plan.nodes[edge[0]].branches]
    if not doubtful:
        return None
    if len(doubtful) == len(own) or not all(edge[3] for edge in doubtful):
        in_doubt[place] = 1
    return tuple(dict.fromkeys(edge[0] for edge in doubtful))


def _ordering(nodes: list[CompiledNode], targets: tuple[int, ...]) -> Generator[None, None, list[int]]:
    """What the targets need, sources first: depth-first with an explicit stack."""
    order: list[int] = []
    seen = bytearray(len(nodes))
    steps = 0
    for target in targets:
        if seen[target]:
            continue
        seen[target] = 1
        stack = [(target, iter(nodes[target].edges))]
        while stack:
            steps += 1
            if not steps % (2 * SLICE):
                yield
            node, edges = stack[-1]
            for edge in edges:
                source = edge[0]
                if not seen[source]:
                    seen[source] = 1
                    stack.append((source, iter(nodes[source].edges)))
                    break
            else:
                order.append(node)
                stack.pop()
    return order
