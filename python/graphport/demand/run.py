"""The state of one demand: which nodes it needs, which are settled, which can go.

A run is no task. `step` executes what can run inline; `async` and `thread` nodes leave as flights, and `settle` brings
their results back. Two ways through a plan: `_scan`, one backward sweep, where every key is known beforehand; `_pull`,
driven by what settles, where gates or values decide what is needed. Called by `evaluator` and `flight`.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import DemandStopped, NodeError
from graphport.demand import keys as node_keys
from graphport.demand.context import LoopContext
from graphport.demand.flight import Flight, Suspended, replay
from graphport.demand.outputs import checked, failure
from graphport.graph.values import FIXED
from graphport.graph.compile import ASYNC, INLINE
from graphport.graph.digest import DEAD, xxh3

if TYPE_CHECKING:
    import asyncio

    from graphport.core.errors import GraphportError
    from graphport.demand.evaluator import Evaluator
    from graphport.demand.memo import Outputs
    from graphport.demand.session import Session
    from graphport.graph.compile import CompiledNode, Plan

# What a node settles as that lies behind a dead port. It has no outputs, so every edge from it is dead.
SKIPPED: Final[Outputs] = {}

_IDLE: Final = 0
_AWAITS_GATES: Final = 1
_AWAITS_ALL: Final = 2

# More than any in-degree: a node that is not needed never becomes ready.
_NEVER: Final = 1 << 60

# Nodes executed between two looks at the clock.
_NODES_PER_LOOK: Final = 16


class Run:
    """One demand under evaluation.

    Attributes:
        demand: the BEAM's number.
        closed: answered; nothing is emitted any more.
        queued: waits in the ready queue.
        flights: executions it waits for.
        ran: nodes executed for it.
    """

    __slots__ = (
        "_consumers",
        "_edges",
        "_results",
        "_evaluator",
        "_inline_context",
        "_inputs",
        "_keys",
        "_once",
        "_plain",
        "_pending",
        "_received",
        "_stage",
        "_stream",
        "_timer",
        "closed",
        "demand",
        "flights",
        "plan",
        "queued",
        "ran",
        "ready",
        "revision",
        "session",
    )

    def __init__(
        self,
        evaluator: Evaluator,
        session: Session,
        plan: Plan,
        demand: int,
        *,
        inputs: dict[int, dict[str, Any]],
        stream: bool | frozenset[str],
        received: float,
    ) -> None:
        self._evaluator = evaluator
        self.session = session
        self.revision = session.graph.revision
        self.plan = plan
        self.demand = demand
        self._inputs = inputs
        self._stream = stream
        self._received = received
        self._timer: asyncio.TimerHandle | None = None
        self._inline_context = LoopContext(evaluator, plan.nodes[-1], None)
        self.closed = self.queued = False
        self.flights: list[Flight] = []
        self.ran = 0
        self.ready: deque[int] = deque()

    def start(self, deadline_ms: int | None) -> None:
        """Find out what is needed; afterwards the run is answered, or ready, or waits for flights."""
        if deadline_ms is not None:
            self._timer = self._evaluator.loop.call_later(deadline_ms / 1000, self._expire, deadline_ms)
        plan, size = self.plan, len(self.plan.nodes)
        self._edges, self._plain = plan.edges, plan.plain
        if self._inputs:
            self._edges, self._plain = plan.edges.copy(), plan.plain.copy()
            for place, given in self._inputs.items():
                self._edges[place] = tuple(edge for edge in plan.edges[place] if edge[2] not in given)
                self._plain[place] = 0
        self._keys, self._once = node_keys.derive(plan, self.session, self._inputs, self._edges)
        self._results: list[Outputs | None] = [None] * size
        if self._stream and plan.streaming:
            self._replay_known()
        if plan.lazy or self._inputs:
            self._stage = bytearray(size)
            self._pending = [0] * size
            self._consumers: list[list[int]] = [[] for _ in range(size)]
            self._stage[size - 1] = _AWAITS_ALL
            self._pull([size - 1], [])
        else:
            self._stage = bytearray()
            self._consumers = plan.consumers
            self._scan()
        if self._results[size - 1] is not None:
            self._finish(cached=True)

    # Finding what is needed

    def _scan(self) -> None:
        """Backward over the plan: what the memo has needs no sources. Then forward: how many sources each awaits."""
        plan, keys, results, once = self.plan, self._keys, self._results, self._once
        get, sources = self._evaluator.memo.get, plan.sources
        last = len(results) - 1
        needed = bytearray(last + 1)
        needed[last] = 1
        found = False
        for place in range(last, -1, -1):
            if not needed[place]:
                found = True
            elif once is not None and once[place]:
                for source in sources[place]:
                    needed[source] = 1
            else:
                outputs = get(keys[place])  # type: ignore[arg-type]
                if outputs is None:
                    for source in sources[place]:
                        needed[source] = 1
                else:
                    results[place] = outputs
                    found = True
        if not found:
            self._pending = plan.indegrees.copy()
            self.ready.extend(plan.leaves)
            return
        self._pending = [_NEVER] * (last + 1)
        for place in range(last + 1):
            if needed[place] and results[place] is None:
                awaited = sum(1 for source in sources[place] if results[source] is None)
                self._pending[place] = awaited
                if not awaited:
                    self.ready.append(place)

    def _pull(self, wanted: list[int], settled: list[int]) -> None:
        """Follow wishes down to what can run, and results up to what they make possible, until neither is left."""
        while wanted or settled:
            if settled:
                for consumer in self._consumers[settled.pop()]:
                    self._pending[consumer] -= 1
                    if not self._pending[consumer]:
                        self._inputs_settled(consumer, wanted, settled)
                continue
            place = wanted.pop()
            key = self._keys[place]
            outputs = None if key is None else self._evaluator.memo.get(key)
            if outputs is not None:
                self._results[place] = outputs
                settled.append(place)
                continue
            gated = self.plan.gated[place]
            if gated is not None:
                still = {edge[0] for edge in self._edges[place]}
                gated = tuple(source for source in gated if source in still)
            if gated:
                self._stage[place] = _AWAITS_GATES
                self._await(place, gated, wanted, settled)
            else:
                self._stage[place] = _AWAITS_ALL
                self._await(place, self._sources(place), wanted, settled)

    def _sources(self, place: int) -> tuple[int, ...]:
        if place in self._inputs:
            return tuple(dict.fromkeys(edge[0] for edge in self._edges[place]))
        return self.plan.sources[place]

    def _await(self, place: int, sources: tuple[int, ...], wanted: list[int], settled: list[int]) -> None:
        awaited = 0
        for source in sources:
            if self._results[source] is None:
                awaited += 1
                self._consumers[source].append(place)
                if self._stage[source] == _IDLE:
                    self._stage[source] = _AWAITS_ALL
                    wanted.append(source)
        self._pending[place] = awaited
        if not awaited:
            self._inputs_settled(place, wanted, settled)

    def _inputs_settled(self, place: int, wanted: list[int], settled: list[int]) -> None:
        if self._stage[place] == _AWAITS_GATES:
            if self._is_dead(place):
                self._results[place] = SKIPPED
                settled.append(place)
            else:
                self._stage[place] = _AWAITS_ALL
                self._await(place, self._sources(place), wanted, settled)
            return
        if self._keys[place] is None:
            key = self._late_key(place)
            self._keys[place] = key
            outputs = self._evaluator.memo.get(key)
            if outputs is not None:
                self._results[place] = outputs
                self._replay(place, key)
                settled.append(place)
                return
        self.ready.append(place)

    def _late_key(self, place: int) -> bytes:
        parts = node_keys.head(self.plan, place, self.session, self._inputs)
        for source, port, _, _ in self._edges[place]:
            outputs: Outputs = self._results[source]  # type: ignore[assignment]
            key = self._keys[source]
            if key is None or port not in outputs:
                parts.append(DEAD)
            elif self.plan.nodes[source].content_digest:
                parts.append(self._evaluator.memo.digest_of(key, port, outputs) or key)
            else:
                parts.append(key)
        return xxh3(b"".join(parts))

    def _is_dead(self, place: int) -> bool:
        """A dead edge into a single port skips the node, and so do dead edges everywhere."""
        alive = False
        for source, port, _, many in self._edges[place]:
            outputs = self._results[source]
            if outputs is None or port in outputs:
                alive = True
            elif not many:
                return True
        return not alive

    # Executing

    @property
    def awaits_task(self) -> bool:
        """Whether the next ready node is async, and so can begin only in a task."""
        return self.plan.nodes[self.ready[0]].execution == ASYNC

    def step(self, until: float, *, in_task: bool) -> Flight | None:
        """Execute what is ready till nothing is, the time is up, or an async node suspends.

        Args:
            until: `perf_counter` time at which to stop.
            in_task: an asyncio task calls, so async nodes may begin here, up to their first suspension. Otherwise they
                stay ready.

        Returns:
            The flight of an async node that has suspended, for the task to carry on; else None.
        """
        ready, nodes, results = self.ready, self.plan.nodes, self._results
        context, once, keys, edges = self._inline_context, self._once, self._keys, self._edges
        plain, pending, consumers, last = self._plain, self._pending, self._consumers, len(results) - 1
        shared, lazy = len(self._evaluator.runs) > 1, bool(self._stage)
        fresh: list[tuple[bytes, Outputs]] = []
        stats, count, began = nodes[-1].stats, 0, perf_counter()
        try:
            while ready and not self.closed:
                place = ready.popleft()
                node = nodes[place]
                if node.stats is not stats or count == _NODES_PER_LOOK:
                    now = perf_counter()
                    stats.add(count, now - began)
                    stats, count, began = node.stats, 0, now
                    if now >= until:
                        ready.appendleft(place)
                        break
                # Another run may have computed the same since this one looked.
                if shared and self._known_by_now(place):
                    continue
                if node.execution == ASYNC and not in_task:
                    ready.appendleft(place)
                    break
                if plain[place]:
                    inputs = node.base.copy()
                    for source, port, into, _ in edges[place]:
                        value = results[source][port]  # type: ignore[index]
                        inputs[into] = value if value.__class__ in FIXED else node.given(value)
                else:
                    inputs = self._gather(place, node)
                if node.execution == INLINE:
                    context.node = node
                    self.ran += 1
                    outputs = node.handler(inputs, context)
                else:
                    outputs = self._begin(place, node, inputs)
                    if outputs.__class__ is Flight:
                        return outputs
                    if outputs is None:
                        continue
                if outputs.__class__ is not dict or outputs.keys() != node.output_names:
                    outputs = checked(node, outputs)
                count += 1
                if node.cacheable and (once is None or not once[place]):
                    fresh.append((keys[place], outputs))  # type: ignore[arg-type]
                if lazy or place == last:
                    self._advance(place, outputs)
                else:
                    results[place] = outputs
                    for consumer in consumers[place]:
                        left = pending[consumer] - 1
                        pending[consumer] = left
                        if not left:
                            ready.append(consumer)
        except (Exception, SystemExit, CancelledError) as raised:
            if self.closed:
                raise
            self.fail(failure(node, raised))
        finally:
            stats.add(count, perf_counter() - began)
            self._evaluator.memo.put_many(fresh)
        return None

    def _known_by_now(self, place: int) -> bool:
        key: bytes = self._keys[place]  # type: ignore[assignment]
        outputs = self._evaluator.memo.get(key)
        if outputs is None:
            return False
        self._replay(place, key)
        self._advance(place, outputs)
        return True

    def _gather(self, place: int, node: CompiledNode) -> dict[str, Any]:
        """The node's inputs: demand, else edge, else what the graph says; copies for those who might change them."""
        own = self._inputs.get(place) if self._inputs else None
        if node.required:
            missing = [port for port in node.required if not own or port not in own]
            if missing:
                raise NodeError(
                    f"node {node.id!r} needs its input {missing[0]!r}: connect it, set it in the node's data, "
                    "or give it in the demand's inputs",
                    code="missing_input",
                    node_id=node.id,
                )
        inputs = node.base.copy()
        collected: set[str] | None = None
        for source, port, into, many in self._edges[place]:
            outputs: Outputs = self._results[source]  # type: ignore[assignment]
            if not many:
                inputs[into] = outputs[port]
            elif port in outputs:
                if collected is None or into not in collected:
                    collected = (collected or set()) | {into}
                    inputs[into] = []
                inputs[into].append(outputs[port])
        if own:
            inputs.update(own)
        for port, value in inputs.items():
            if value.__class__ not in FIXED:
                inputs[port] = node.given(value)
        return inputs

    def _begin(self, place: int, node: CompiledNode, inputs: dict[str, Any]) -> Outputs | Flight | None:
        """Join or start the execution of an async or thread node.

        Returns:
            The outputs if it is done, which most async nodes are before they ever suspend; its flight if it has
            suspended; None if the result will come through `settle`.
        """
        evaluator = self._evaluator
        key: bytes = self._keys[place]  # type: ignore[assignment]
        flight = evaluator.flights.get(key)
        if flight is not None:
            flight.join(self, place)
            return None
        store = node.cacheable and (self._once is None or not self._once[place])
        self.ran += 1
        if node.execution != ASYNC:
            flight = evaluator.depart(node, key, store=store)
            flight.join(self, place)
            evaluator.threads.submit(flight, inputs)
            return None
        if node.streams:
            flight = evaluator.depart(node, key, store=store)
            flight.join(self, place)
            context = flight.context
        else:
            context = LoopContext(evaluator, node, None)
        coroutine = node.handler(inputs, context)
        try:
            first = coroutine.send(None)
        except StopIteration as done:
            if flight is None:
                return done.value  # type: ignore[no-any-return]
            flight.succeed(done.value)
            return None
        if flight is None:
            flight = evaluator.depart(node, key, store=store)
            flight.join(self, place)
            context.attach(flight)
        flight.rest = Suspended(coroutine, first)
        return flight

    def settle(self, place: int, outputs: Outputs) -> None:
        """A flight has brought a node's result."""
        if self.closed:
            return
        self._advance(place, outputs)
        if self.ready and not self.closed:
            self._evaluator.make_ready(self)

    def _advance(self, place: int, outputs: Outputs) -> None:
        """Note a result; answer if it is the target's, else see what can go now."""
        self._results[place] = outputs
        if place == len(self._results) - 1:
            self._finish(cached=False)
            return
        if self._stage:
            self._pull([], [place])
            if self._results[-1] is not None:
                self._finish(cached=self.ran == 0)
            return
        pending, ready = self._pending, self.ready
        for consumer in self._consumers[place]:
            left = pending[consumer] - 1
            pending[consumer] = left
            if not left:
                ready.append(consumer)

    # Streaming

    def _streams(self, place: int) -> bool:
        stream = self._stream
        return stream is True or (stream is not False and self.plan.nodes[place].id in stream)

    def chunk(self, place: int, port: str, chunk: Any) -> None:
        """Pass a chunk of a node on, if the demand listens to that node."""
        if not self.closed and self._stream and self._streams(place):
            self._evaluator.sink.chunk(self.demand, self.plan.nodes[place].id, port, chunk)

    def _replay(self, place: int, key: bytes) -> None:
        if self._stream and self._streams(place):
            chunks = self._evaluator.memo.chunks(key)
            if chunks:
                replay(self, place, chunks)

    def _replay_known(self) -> None:
        """What streaming nodes sent when they ran: they may not be reached again, their text is wanted all the same."""
        for place in self.plan.streaming:
            key = self._keys[place]
            if key is not None:
                self._replay(place, key)

    # Ending

    def _finish(self, *, cached: bool) -> None:
        last = len(self._results) - 1
        node = self.plan.nodes[last]
        result: Outputs = self._results[last]  # type: ignore[assignment]
        outputs = result
        if result is not SKIPPED and node.gate:
            outputs = dict.fromkeys(node.output_names) | outputs
        meta = {
            "revision": self.revision,
            "us": int((perf_counter() - self._received) * 1e6),
            "ran": self.ran,
            "cached": cached,
            "skipped": result is SKIPPED,
        }
        self.close()
        self._evaluator.sink.complete(self.demand, node.id, outputs, meta)

    def fail(self, error: GraphportError) -> None:
        """Answer with an error, unless answered already, and let go of everything."""
        if self.closed:
            return
        self.close()
        self._evaluator.sink.fail(self.demand, self.plan.nodes[-1].id, error)

    def _expire(self, deadline_ms: int) -> None:
        self.fail(DemandStopped(f"the deadline of {deadline_ms} ms passed", code="deadline_exceeded"))

    def close(self) -> None:
        """Emit nothing more, and let go of everything."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._evaluator.forget(self)
        flights, self.flights = self.flights, []
        for flight in flights:
            flight.leave(self)
