"""What a run does before it executes anything: plan, inputs, seeds, keys, and what is needed.

Done bit by bit, for what a graph of 100,000 nodes takes must not hold up other demands. Must not execute nodes. The
base of `run.Run`, which goes on with it in each of its steps.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from graphport.demand import identities
from graphport.demand import keys as node_keys
from graphport.demand.answers import with_answers
from graphport.demand.context import LoopContext
from graphport.demand.needs import Needs, scan
from graphport.demand.telling import Telling
from graphport.graph.plan import slices

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from graphport.contracts.sink import DemandSink
    from graphport.core.errors import InputAwaited
    from graphport.demand.evaluator import Evaluator
    from graphport.demand.session import Session
    from graphport.graph.compile import CompiledGraph, CompiledNode
    from graphport.graph.plan import Edge


class Preparing(Telling):
    """A demand of which it is found out what it needs.

    Attributes:
        session: the session.
        graph: its graph as it was when the demand came.
        inputs: what the demand gives itself: place to port to value.
        edges: per node the in-edges that count, which are the plan's but for ports the demand fills.
        seeds: place to the seed drawn for it.
        once: marks nodes whose result cannot recur, or shall not, and is not kept; None if there are none.
        asked: keys for which the store was asked.
        identities: place to the digest of what its result depends on beside its inputs, where a type says so.
        ready: nodes that can go.
        prepared: when all that was done, by `perf_counter`; 0.0 before.
        ran: nodes executed for it.
        waits: for answers of people; else a node without one fails it.
        parked: nodes that wait for one, id to place.
        paused: the preparation waits for something, and `Run.go_on` will be called.
    """

    __slots__ = (
        "_context",
        "_evaluator",
        "_fresh",
        "_given",
        "_needs",
        "_pending",
        "_plain",
        "_preparing",
        "_target",
        "asked",
        "edges",
        "graph",
        "identities",
        "inputs",
        "once",
        "parked",
        "paused",
        "prepared",
        "ran",
        "ready",
        "seeds",
        "session",
        "waits",
    )

    # Whether its seeds are its own, and not the same for all runs of the session till others are drawn.
    _own_seeds = False

    edges: list[tuple[Edge, ...]]
    _plain: bytearray
    once: bytearray | None

    def __init__(
        self,
        evaluator: Evaluator,
        session: Session,
        target: int | tuple[int, ...],
        demand: int,
        *,
        inputs: Mapping[str, dict[str, Any]],
        stream: bool | frozenset[str],
        fresh: bool,
        events: bool,
        sink: DemandSink | None,
    ) -> None:
        super().__init__(demand, evaluator.sink if sink is None else sink, evaluator.memo, stream=stream, events=events)
        self._evaluator = evaluator
        self.session = session
        self.graph: CompiledGraph = session.graph
        self._target = target
        self._given = inputs
        self._fresh = fresh
        self._needs: Needs | None = None
        self._pending: list[int] = []
        self._preparing: Generator[None, None, None] | None = self._prepare()
        self.inputs: dict[int, dict[str, Any]] = {}
        self.ran = 0
        self.waits = False
        self.parked: dict[str, int] | None = None
        self.paused = False
        self.prepared = 0.0
        self.asked: set[bytes] = set()
        self.identities: dict[int, bytes] = {}
        self.ready: deque[int] = deque()
        self.seeds: dict[int, int] = {}

    def identify(self, place: int) -> None:
        """Learn what a node's result depends on beside its inputs, all of which are settled; then its key is known."""

        def learnt(identity: bytes) -> None:
            if self.closed or self._needs is None:
                return
            self.identities[place] = identity
            self._needs.identified(place)
            self.go_on()

        identities.learn(self, place, learnt)

    def parks(self, node: CompiledNode, awaited: InputAwaited) -> bool:
        """Tell of a node that waits for an answer; returns whether the demand waits with it."""
        self.ran -= 1
        self.tell(node.id, {"event": "waiting", "prompt": (awaited.details or {}).get("prompt")})
        if self.waits:
            place = self.plan.position[node.id]
            self.parked = {**(self.parked or {}), node.id: place}
            known, given = self.session.answers.get(node.id), self.inputs.get(place, {})
            if known is not None and self.demand >= 0 and any(given.get(port) is not known[port] for port in known):
                # It came after this run had begun, and before it got here.
                asyncio.get_running_loop().call_soon(self.answered, node.id, known)
        return self.waits

    def answered(self, node_id: str, ports: dict[str, Any]) -> None:
        """The answer that a parked node waits for has come."""
        place = (self.parked or {}).pop(node_id, None)
        if place is None or self._needs is None or self.closed:
            return
        self.edges, self._plain = self.edges.copy(), bytearray(self._plain)
        self.inputs[place] = {**self.inputs.get(place, {}), **ports}
        self.edges[place] = tuple(edge for edge in self.edges[place] if edge[2] not in ports)
        self._plain[place] = 0
        self.keys[place] = None
        self._needs.identified(place)
        self.go_on()

    def go_on(self) -> None:
        """What the preparation paused for is there."""
        raise NotImplementedError

    def _prepare(self) -> Generator[None, None, None]:
        """All of it. Pauses now and then; before a pause that is for something it sets `paused`."""
        plan = self.plan = yield from self.graph.planning(self._target)
        self._context = LoopContext(self._evaluator, plan.nodes[-1], None)
        if self._fresh:
            self.session.draw_seeds(plan)
        self._take_inputs()
        # Drawn once for the whole run: another demand may ask for fresh ones meanwhile.
        generation = self.session.generation
        for places in slices(len(plan.seeded)):
            for place in plan.seeded[places.start : places.stop]:
                self.seeds[place] = self.seed_of(plan.nodes[place].id)
            yield
        alone = bool(plan.seeded) and (self._own_seeds or generation != self.session.generation)
        self.keys, self.once = yield from node_keys.derive(
            plan, None if alone else generation, self.seeds, self.inputs, self.edges
        )
        self.results = [None] * len(plan.nodes)
        if plan.policed and self.once is None:
            self.once = bytearray(len(plan.nodes))
        if plan.storable:
            yield from self._search_store()
        if self._stream and not self.replay_known():
            return
        if plan.lazy or self.inputs:
            self._needs = Needs(self, self._memo)
            return
        self._pending = yield from scan(self, self._memo)
        if self._began is not None:
            for places in slices(len(self.results)):
                self.tell_found(place for place in places if self.results[place] is not None)
                yield

    def _search_store(self) -> Generator[None, None, None]:
        """Bring into the cache what a persistent store has of this."""
        if self._evaluator.stored is not None:
            yield from self._evaluator.stored.finding(self)

    def seed_of(self, node_id: str) -> int:
        """The seed of a node that was given none."""
        return self.session.seed(node_id)

    def _take_inputs(self) -> None:
        """Put the demand's inputs in their places, and take out the edges that they replace."""
        plan = self.plan
        self.edges, self._plain = plan.edges, plan.plain
        if self.session.answers and self.demand >= 0:
            self._given = with_answers(self._given, self.session.answers, plan)
        if self._given:
            position = plan.position
            self.inputs = {position[name]: ports for name, ports in self._given.items() if ports and name in position}
            self.edges, self._plain = plan.edges.copy(), plan.plain.copy()
            for place, given in self.inputs.items():
                self.edges[place] = tuple(edge for edge in plan.edges[place] if edge[2] not in given)
                self._plain[place] = 0
        if self._began is not None:
            # Nodes then go the long way, through `Run._gather` and `Run._advance`, where events are told.
            self._plain = bytearray(len(plan.nodes))
            self.sink.event(self.demand, "", {"event": "planned", "nodes": plan.size})
