"""The state of one demand: which nodes are settled, which can go, and how the demand is answered.

A run is no task. `step` executes what can run inline; other nodes leave as flights, and `settle` brings their results
back. Called by `evaluator` and `flight`.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import DemandStopped, GraphportError, NodeError
from graphport.demand import keys as node_keys
from graphport.demand.context import LoopContext
from graphport.demand.flight import Flight, Suspended
from graphport.demand.needs import SKIPPED, Needs, scan
from graphport.demand.outputs import checked, failure
from graphport.graph.compile import ASYNC, INLINE
from graphport.graph.values import FIXED

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from graphport.contracts.sink import Target
    from graphport.demand.evaluator import Evaluator
    from graphport.demand.memo import Outputs
    from graphport.demand.session import Session
    from graphport.graph.compile import CompiledNode, Edge, Plan

# Nodes executed between two looks at the clock.
_NODES_PER_LOOK: Final = 16

# What `_begin` returns for an execution whose result comes later.
_LATER: Final = object()


class Run:
    """One demand under evaluation.

    Attributes:
        demand: the BEAM's number.
        inputs: what the demand gives itself: place to port to value.
        edges: per node the in-edges that count, which are the plan's but for ports the demand fills.
        keys: per node its key, None while unknown.
        once: marks nodes whose result cannot recur and is not kept; None if there are none.
        results: per node its outputs, None until settled.
        ready: nodes that can go.
        flights: executions it waits for.
        ran: nodes executed for it.
        closed: answered; nothing is emitted any more.
        queued: waits in the ready queue.
    """

    __slots__ = (
        "_alone",
        "_asked",
        "_began",
        "_context",
        "_deadline_ms",
        "_evaluator",
        "_needs",
        "_pending",
        "_plain",
        "_received",
        "_stream",
        "_timer",
        "closed",
        "demand",
        "edges",
        "flights",
        "inputs",
        "keys",
        "once",
        "plan",
        "queued",
        "ran",
        "ready",
        "results",
        "revision",
        "seeds",
        "session",
    )

    def __init__(
        self,
        evaluator: Evaluator,
        session: Session,
        plan: Plan,
        demand: int,
        asked: Target,
        *,
        inputs: dict[int, dict[str, Any]],
        stream: bool | frozenset[str],
        events: bool,
        received: float,
    ) -> None:
        self._evaluator = evaluator
        self.session = session
        self.revision = session.graph.revision
        self.plan = plan
        self.demand = demand
        self.inputs = inputs
        self._asked = asked
        self._stream = stream
        # When each node began, by place, if the demand wants events.
        self._began: dict[int, float] | None = {} if events else None
        self._received = received
        self._timer: asyncio.TimerHandle | None = None
        self._context = LoopContext(evaluator, plan.nodes[-1], None)
        self._needs: Needs | None = None
        self._pending: list[int] = []
        self.closed = self.queued = False
        self.flights: list[Flight] = []
        self.ran = 0
        self.ready: deque[int] = deque()

    def start(self, deadline_ms: int | None) -> None:
        """Find out what is needed; afterwards the run is answered, or ready, or waits for flights."""
        self._deadline_ms = deadline_ms
        if deadline_ms is not None:
            self._timer = self._evaluator.loop.call_later(deadline_ms / 1000, self._expire)
        # While no demand but this is open, and none has come since, nobody else can compute what this one needs.
        self._alone = self._evaluator.started if len(self._evaluator.runs) == 1 else -1
        plan, memo = self.plan, self._evaluator.memo
        self.edges: list[tuple[Edge, ...]] = plan.edges
        self._plain = plan.plain
        if self.inputs:
            self.edges, self._plain = plan.edges.copy(), plan.plain.copy()
            for place, given in self.inputs.items():
                self.edges[place] = tuple(edge for edge in plan.edges[place] if edge[2] not in given)
                self._plain[place] = 0
        if self._began is not None:
            # Nodes then go the long way, through `_gather` and `_advance`, where events are told.
            self._plain = bytearray(len(plan.nodes))
            self._evaluator.sink.event(self.demand, "", {"event": "planned", "nodes": plan.size})
        # Drawn once for the whole run: another demand may ask for fresh ones meanwhile.
        self.seeds = {place: self.session.seed(plan.nodes[place].id) for place in plan.seeded}
        self.keys, self.once = node_keys.derive(plan, self.session, self.seeds, self.inputs, self.edges)
        self.results: list[Outputs | None] = [None] * len(plan.nodes)
        if self._stream and not self._replay_known():
            return
        if plan.lazy or self.inputs:
            self._needs = Needs(self, memo)
            self._needs.want_target()
        else:
            self._pending = scan(self, memo)
            self.tell_found(place for place, outputs in enumerate(self.results) if outputs is not None)
        if self.results[-1] is not None:
            self._finish(cached=True)

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
        if self._deadline_ms is not None and perf_counter() >= self._received + self._deadline_ms / 1000:
            # The loop was too busy for the timer. What nobody waits for any more is not begun.
            self._expire()
            return None
        kept: list[tuple[bytes, Outputs]] = []
        try:
            return self._execute(until, in_task, kept)
        except BaseException as raised:  # a node's border: whatever it raises is its own failure
            if self.closed:
                raise
            self.fail(failure(self._context.node, raised))
        finally:
            self._evaluator.memo.put_many(kept)
        return None

    def _execute(  # noqa: C901 - the hot loop: a call per case would double what a trivial node costs
        self, until: float, in_task: bool, kept: list[tuple[bytes, Outputs]]
    ) -> Flight | None:
        ready, nodes, results, pending = self.ready, self.plan.nodes, self.results, self._pending
        context, once, keys, edges, plain = self._context, self.once, self.keys, self.edges, self._plain
        consumers, last = self.plan.consumers, len(results) - 1
        shared, scanned = self._evaluator.started != self._alone, self._needs is None and self._began is None
        stats, count, began = nodes[last].stats, 0, perf_counter()
        outputs: Any = None
        while ready and not self.closed:
            node = context.node = nodes[place := ready.popleft()]
            if node.stats is not stats or count == _NODES_PER_LOOK:
                began = stats.add(count, began)
                stats, count = node.stats, 0
            if (began >= until) or (node.execution == ASYNC and not in_task):
                ready.appendleft(place)
                break
            # Another run may have computed the same since this one looked.
            if shared and self._known_by_now(place):
                began, count = stats.add(count, began), 0
                continue
            if plain[place]:
                inputs = node.base.copy()
                for source, port, into, _ in edges[place]:
                    value = results[source][port]  # type: ignore[index]
                    inputs[into] = value if value.__class__ in FIXED else node.given(value)
            else:
                inputs = self._gather(place, node)
            if node.execution == INLINE:
                self.ran += 1
                outputs = node.handler(inputs, context)
            else:
                outputs = self._begin(place, node, inputs)
                if outputs.__class__ is Flight:
                    break
                if outputs is _LATER:
                    began, count = stats.add(count, began), 0
                    continue
            if outputs.__class__ is not dict or outputs.keys() != node.output_names:
                outputs = checked(node, outputs)
            count += 1
            if node.cacheable and (once is None or not once[place]):
                kept.append((keys[place], outputs))  # type: ignore[arg-type]
            if scanned and place != last:
                results[place] = outputs
                for consumer in consumers[place]:
                    pending[consumer] -= 1
                    if not pending[consumer]:
                        ready.append(consumer)
            else:
                self._advance(place, outputs)
        stats.add(count, began)
        return outputs if outputs.__class__ is Flight else None

    def _known_by_now(self, place: int) -> bool:
        outputs = self._evaluator.memo.get(self.keys[place])  # type: ignore[arg-type]
        if outputs is None:
            return False
        self.replay_kept(place)
        if not self.closed:
            self._advance(place, outputs, known=True)
        return True

    def _gather(self, place: int, node: CompiledNode) -> dict[str, Any]:
        """The node's inputs: demand, else edge, else what the graph says; copies for those who might change them."""
        if self._began is not None:
            self._tell_started(place)
        own = self.inputs.get(place)
        missing = [port for port in node.required if not own or port not in own]
        if missing:
            raise NodeError(
                f"node {node.id!r} needs its input {missing[0]!r}: connect it, set it in the node's data, "
                "or give it in the demand's inputs",
                code="missing_input",
                node_id=node.id,
            )
        inputs = node.base.copy()
        collected: dict[str, list[Any]] = {}
        for source, port, into, many in self.edges[place]:
            outputs: Outputs = self.results[source]  # type: ignore[assignment]
            if not many:
                inputs[into] = outputs[port]
            elif port in outputs:
                collected.setdefault(into, []).append(outputs[port])
        inputs.update(collected)
        if own:
            inputs.update(own)
        for port, value in inputs.items():
            if value.__class__ not in FIXED:
                inputs[port] = node.given(value)
        if place in self.seeds and "seed" in inputs and inputs["seed"] is None:
            inputs["seed"] = self.seeds[place]
        return inputs

    def _begin(self, place: int, node: CompiledNode, inputs: dict[str, Any]) -> Any:
        """Join or start the execution of an async or thread node.

        Returns:
            The outputs if it is done, which many async nodes are before they ever suspend; its flight if it has
            suspended; `_LATER` if the result will come through `settle`.
        """
        evaluator = self._evaluator
        key: bytes = self.keys[place]  # type: ignore[assignment]
        flight = evaluator.flights.get(key)
        if flight is not None:
            flight.join(self, place)
            return _LATER
        self.ran += 1
        if node.execution != ASYNC:
            evaluator.threads.submit(self._depart(place, node, key), inputs)
            return _LATER
        context = LoopContext(evaluator, node, None)
        if node.streams or self._began is not None:
            flight = self._depart(place, node, key)
            context.attach(flight)
        coroutine = node.handler(inputs, context)
        try:
            first = coroutine.send(None)
        except StopIteration as done:
            if flight is None:
                return done.value
            flight.succeed(done.value)
            return _LATER
        if flight is None:
            flight = self._depart(place, node, key)
            context.attach(flight)
        flight.rest = Suspended(coroutine, first)
        return flight

    def _depart(self, place: int, node: CompiledNode, key: bytes) -> Flight:
        store = node.cacheable and (self.once is None or not self.once[place])
        flight = self._evaluator.depart(node, key, store=store)
        flight.join(self, place)
        return flight

    def settle(self, place: int, outputs: Outputs) -> None:
        """A flight has brought a node's result."""
        if self.closed:
            return
        self._advance(place, outputs)
        if self.ready and not self.closed:
            self._evaluator.make_ready(self)

    def _advance(self, place: int, outputs: Outputs, *, known: bool = False) -> None:
        """Note a result; answer if it is the target's, else see what can go now."""
        self.results[place] = outputs
        if self._began is not None:
            self._tell_settled(place, known=known)
        if self._needs is not None:
            self._needs.settle(place)
        else:
            pending = self._pending
            for consumer in self.plan.consumers[place]:
                pending[consumer] -= 1
                if not pending[consumer]:
                    self.ready.append(consumer)
        target = self.results[-1]
        if target is not None:
            self._finish(cached=known if place == len(self.results) - 1 else target is not SKIPPED)

    # Streaming

    def chunk(self, place: int, port: str, chunk: Any) -> bool:
        """Pass a chunk of a node on, if the demand listens to that node; returns whether the demand is behind."""
        if self.closed or not (self._stream is True or self.listens(place)):
            return False
        return self._evaluator.sink.chunk(self.demand, self.plan.nodes[place].id, port, chunk)

    def replay(self, place: int, chunks: list[tuple[str, Any]]) -> None:
        """Pass on what a node has streamed already, if the demand listens to that node."""
        if not self.closed and self.listens(place):
            self._evaluator.sink.replay(self.demand, self.plan.nodes[place].id, chunks)

    def replay_kept(self, place: int) -> None:
        """Pass on what a node streamed when its cached result was made. That may fail the run."""
        if self._stream:
            chunks = self._evaluator.memo.chunks(self.keys[place])  # type: ignore[arg-type]
            if chunks:
                try:
                    self.replay(place, chunks)
                except GraphportError as error:  # no demand had wanted these chunks before
                    self.fail(failure(self.plan.nodes[place], error))

    def listens(self, place: int) -> bool:
        """Whether the demand wants the chunks of a node."""
        stream = self._stream
        return stream is True or (stream is not False and self.plan.nodes[place].id in stream)

    def _replay_known(self) -> bool:
        """Nodes may not be reached again; what they sent when they ran is wanted all the same. False if it fails."""
        for place in self.plan.streaming:
            if self.keys[place] is not None:
                self.replay_kept(place)
        return not self.closed

    # Events

    def tell_found(self, places: Iterable[int]) -> None:
        """Tell of nodes that need not be executed, if the demand wants events."""
        if self._began is None:
            return
        for place in places:
            kind = "skipped" if self.results[place] is SKIPPED else "cached"
            self._evaluator.sink.event(self.demand, self.plan.nodes[place].id, {"event": kind})

    def progress(self, place: int, event: dict[str, Any]) -> None:
        """Tell how far a node is, if the demand wants events."""
        if self._began is not None and not self.closed:
            self._evaluator.sink.event(self.demand, self.plan.nodes[place].id, event)

    def _tell_started(self, place: int) -> None:
        if place < self.plan.size:
            self._began[place] = perf_counter()  # type: ignore[index]
            self._evaluator.sink.event(self.demand, self.plan.nodes[place].id, {"event": "started"})

    def _tell_settled(self, place: int, *, known: bool) -> None:
        if known:
            self.tell_found((place,))
        elif place < self.plan.size:
            took_us = int((perf_counter() - self._began[place]) * 1e6)  # type: ignore[index]
            event = {"event": "completed", "us": took_us}
            self._evaluator.sink.event(self.demand, self.plan.nodes[place].id, event)

    # Ending

    def _finish(self, *, cached: bool) -> None:
        if self.closed:
            return
        targets = self.plan.targets
        ran = self.ran
        if targets is None:
            place = len(self.results) - 1
            outputs, skipped = self._outputs_of(place), self.results[place] is SKIPPED
        else:
            outputs = {self.plan.nodes[place].id: self._outputs_of(place) for place in targets}
            skipped = bool(targets) and all(self.results[place] is SKIPPED for place in targets)
            ran -= 1  # the node that awaits them
            cached = not ran
        meta = {
            "revision": self.revision,
            "us": int((perf_counter() - self._received) * 1e6),
            "ran": ran,
            "cached": cached,
            "skipped": skipped,
        }
        if self._evaluator.stuck.flights:
            meta["stuck"] = len(self._evaluator.stuck.flights)
        self.close()
        self._evaluator.sink.complete(self.demand, self._asked, outputs, meta)
        if self._deadline_ms is not None and self._evaluator.sink.holds(self.demand):
            self._end_by(overdue(self._deadline_ms))

    def _outputs_of(self, place: int) -> Outputs:
        """What a target is answered with: of a gate both branches, null for the dead one."""
        node = self.plan.nodes[place]
        outputs: Outputs = self.results[place]  # type: ignore[assignment]
        return dict.fromkeys(node.output_names) | outputs if node.gate and outputs is not SKIPPED else outputs

    def fail(self, error: GraphportError) -> None:
        """Answer with an error, unless answered already, and let go of everything."""
        if self.closed:
            return
        if self._began is not None and error.node_id in self.plan.position:
            event = {"event": "failed", "code": error.code}
            self._evaluator.sink.event(self.demand, error.node_id, event)
        self.close()
        self._evaluator.sink.fail(self.demand, self._asked, error)
        if self._timer is not None and self._evaluator.sink.holds(self.demand):
            self._end_by(error)

    def _end_by(self, error: GraphportError) -> None:
        """The last message waits to be sent, and the deadline still holds."""
        left = self._received + (self._deadline_ms or 0) / 1000 - perf_counter()  # uvloop's timer of 0 ms knows no time
        self._evaluator.sink.ends_by(self.demand, self._asked, self._evaluator.loop.time() + left, error)

    def _expire(self) -> None:
        self.fail(overdue(self._deadline_ms or 0))

    def close(self) -> None:
        """Emit nothing more, and let go of everything."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._evaluator.forget(self)
        self._needs = None  # they know each other: results would stay until the next collection of cycles
        flights, self.flights = self.flights, []
        for flight in flights:
            flight.leave(self)


def overdue(deadline_ms: int) -> DemandStopped:
    """What a demand is answered when its deadline has passed."""
    return DemandStopped(f"the deadline of {deadline_ms} ms passed", code="deadline_exceeded")
