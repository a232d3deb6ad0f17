"""The state of one demand: which nodes are settled, which can go, and how the demand is answered.

A run is no task. `step` prepares (plan, keys, what is needed), a bit at a time, and then executes what can run inline;
other nodes leave as flights, and `settle` brings their results back. Called by `evaluator` and `flight`.
"""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.node import ERROR_PORT
from graphport.core.errors import DemandStopped, GraphportError, InputAwaited, InternalError, NodeError
from graphport.demand.context import LoopContext
from graphport.demand.error_edges import as_value, goes_over_edge
from graphport.demand.flight import Flight, Suspended
from graphport.demand.inputs import collect
from graphport.demand.needs import SKIPPED
from graphport.demand.outputs import checked, failure
from graphport.demand.preparing import Preparing
from graphport.demand.ready_queue import TURN_S
from graphport.graph.compile import ASYNC, INLINE
from graphport.graph.values import FIXED

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from graphport.contracts.sink import DemandSink, Target
    from graphport.demand.evaluator import Evaluator
    from graphport.demand.memo import Outputs
    from graphport.demand.session import Session
    from graphport.graph.compile import CompiledNode

_log = logging.getLogger("graphport.evaluator")

# Nodes executed between two looks at the clock.
_NODES_PER_LOOK: Final = 16

# What `_begin` returns for an execution whose result comes later, and for one whose result has been handed on.
_LATER: Final = object()
_SETTLED: Final = object()


class Run(Preparing):
    """One demand under evaluation.

    Attributes:
        flights: executions it waits for.
        queued: waits in the ready queue.
        node: what was demanded.
        received: when, by `perf_counter`.
    """

    __slots__ = (
        "_alone",
        "_deadline_ms",
        "_noted",
        "_timer",
        "flights",
        "node",
        "parked",
        "queued",
        "received",
        "waits",
    )

    def __init__(
        self,
        evaluator: Evaluator,
        session: Session,
        target: int | tuple[int, ...],
        demand: int,
        asked: Target,
        *,
        inputs: Mapping[str, dict[str, Any]],
        stream: bool | frozenset[str],
        fresh: bool,
        events: bool,
        received: float,
        sink: DemandSink | None = None,
    ) -> None:
        super().__init__(
            evaluator, session, target, demand, inputs=inputs, stream=stream, fresh=fresh, events=events, sink=sink
        )
        self.node = asked
        self.received = received
        self._timer: asyncio.TimerHandle | None = None
        self.queued = False
        self.flights: list[Flight] = []
        # Inline nodes with a policy for their results, and their keys.
        self._noted: list[tuple[CompiledNode, bytes]] = []

    def start(self, deadline_ms: int | None) -> None:
        """Begin; afterwards the run is answered, or can go on, or waits for flights."""
        self._deadline_ms = deadline_ms
        if deadline_ms is not None:
            self._timer = self._evaluator.loop.call_later(deadline_ms / 1000, self._expire)
        # While no demand but this is open, and none has come since, nobody else can compute what this one needs; but a
        # store may have it.
        alone = len(self._evaluator.runs) == 1 and not self._evaluator.watches and self._evaluator.stored is None
        self._alone = self._evaluator.started if alone else -1
        self._prepare_until(perf_counter() + TURN_S)
        self._follow_needs(perf_counter() + TURN_S)

    # Going on

    @property
    def can_go_on(self) -> bool:
        """Whether `step` has something to do."""
        if self.closed or self.paused:
            return False
        return bool(self.ready) or self._preparing is not None or (self._needs is not None and self._needs.busy)

    def go_on(self) -> None:
        """What the preparation paused for is there."""
        self.paused = False
        if not self.closed:
            self._evaluator.make_ready(self)

    # Executing

    @property
    def shared(self) -> bool:
        """Whether others may compute what it needs: other demands, or a graph within a node of its own."""
        return self._evaluator.started != self._alone

    @property
    def awaits_task(self) -> bool:
        """Whether the next ready node is async, and so can begin only in a task."""
        return bool(self.ready) and self.plan.nodes[self.ready[0]].execution == ASYNC

    def step(self, until: float, *, in_task: bool) -> Flight | None:
        """Execute what is ready till nothing is, the time is up, or an async node suspends.

        Args:
            until: `perf_counter` time at which to stop.
            in_task: an asyncio task calls, so async nodes may begin here, up to their first suspension. Otherwise they
                stay ready.

        Returns:
            The flight of an async node that has suspended, for the task to carry on; else None.
        """
        if self._deadline_ms is not None and perf_counter() >= self.received + self._deadline_ms / 1000:
            # The loop was too busy for the timer. What nobody waits for any more is not begun.
            self._expire()
            return None
        kept: list[tuple[bytes, Outputs]] = []
        try:
            self._prepare_until(until)
            self._follow_needs(until)
            if self.ready and self._preparing is None and not self.closed:
                return self._execute(until, in_task, kept)
        except BaseException as raised:  # a node's border: whatever it raises is its own failure
            if self.closed:
                raise
            if self._preparing is not None:
                _log.exception("a demand could not be prepared")
                self.fail(InternalError(f"the demand could not be prepared: {type(raised).__name__}"))
            else:
                node = self._context.node
                if raised.__class__ is InputAwaited and self.parks(node, raised):
                    return None
                node.stats.failures += 1
                self.failed(self.plan.position[node.id], failure(node, raised))
        finally:
            self._memo.put_many(kept)
            if self._noted:
                self._keep_noted(dict(kept))
        return None

    def _keep_noted(self, made: dict[bytes, Outputs]) -> None:
        """Tell of the results that there are of nodes with a policy."""
        for node, key in self._noted:
            if key in made:
                self._evaluator.keeping.kept(node, key, made[key], None)
        self._noted.clear()

    def _prepare_until(self, until: float) -> None:
        preparing = self._preparing
        if preparing is None:
            return
        for _ in preparing:
            if self.closed or self.paused or perf_counter() >= until:
                return
        self._preparing = None
        self.prepared = perf_counter()
        if self.results[-1] is not None:
            self._finish(cached=True)

    def _follow_needs(self, until: float) -> None:
        needs = self._needs
        while needs is not None and needs.busy and not self.closed and perf_counter() < until:
            needs.go_on()
            if self.results[-1] is not None:
                self._finish(cached=True)

    def _execute(  # noqa: C901 - the hot loop: a call per case would double what a trivial node costs
        self, until: float, in_task: bool, kept: list[tuple[bytes, Outputs]]
    ) -> Flight | None:
        ready, nodes, results, pending = self.ready, self.plan.nodes, self.results, self._pending
        context, once, keys, edges, plain = self._context, self.once, self.keys, self.edges, self._plain
        consumers, last = self.plan.consumers, len(results) - 1
        shared, scanned = self.shared, self._needs is None and self._began is None
        stats, count, began = nodes[last].stats, 0, perf_counter()
        try:
            while ready and not self.closed:
                node = context.node = nodes[place := ready.popleft()]
                if node.stats is not stats or count == _NODES_PER_LOOK:
                    began = stats.add(count, began)
                    stats, count = node.stats, 0
                if (began >= until) or (node.execution == ASYNC and not in_task):
                    ready.appendleft(place)
                    break
                if shared and self._known_by_now(place):
                    began, count = stats.add(count, began), 0
                    continue
                if plain[place] and node.direct is not None:
                    function, output, arguments, index = node.direct
                    arguments = arguments.copy()
                    for source, port, into, _ in edges[place]:
                        value = results[source][port]  # type: ignore[index]
                        arguments[index[into]] = value if value.__class__ in FIXED else node.given(value)
                    self.ran += 1
                    outputs = {output: function(*arguments)}
                else:
                    outputs = self._call(place, node)
                    if outputs.__class__ is Flight:
                        return outputs
                    if outputs is _LATER or outputs is _SETTLED:
                        began, count, shared = stats.add(count + (outputs is _SETTLED), began), 0, self.shared
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
        finally:
            stats.add(count, began)
        return None

    def _call(self, place: int, node: CompiledNode) -> Any:
        """Execute a node whose function wants its inputs by name.

        Returns:
            What it returned, or what `_begin` does.
        """
        if self._plain[place]:
            inputs, results = node.base.copy(), self.results
            for source, port, into, _ in self.edges[place]:
                value = results[source][port]  # type: ignore[index]
                inputs[into] = value if value.__class__ in FIXED else node.given(value)
        else:
            inputs = self._gather(place, node)
        if node.execution != INLINE:
            return self._begin(place, node, inputs)
        self.ran += 1
        return node.handler(inputs, self._context)

    def _known_by_now(self, place: int) -> bool:
        """Another run may have computed the same since this one looked."""
        outputs = self._evaluator.memo.get(self.keys[place])  # type: ignore[arg-type]
        if outputs is None:
            return self._ask_store(place)
        self.count_hits((place,))
        self.replay_kept(place)
        if not self.closed:
            self._advance(place, outputs, known=True)
        return True

    def _ask_store(self, place: int) -> bool:
        """Ask for a result whose key was not known when the store was asked; False if there is nothing to ask."""
        stored, node, key = self._evaluator.stored, self.plan.nodes[place], self.keys[place]
        if stored is None or not node.stored or key in self.asked or key in self._evaluator.flights:
            return False
        if (self.once is not None and self.once[place]) or not stored.usable:
            return False

        def answered(outputs: Outputs | None) -> None:
            if self.closed:
                return
            if outputs is None:
                self.ready.append(place)
            else:
                self.count_hits((place,))
                self.replay_kept(place)
                if not self.closed:
                    self._advance(place, outputs, known=True)
            if self.can_go_on:
                self._evaluator.make_ready(self)

        stored.find(self, place, answered)
        return True

    def _gather(self, place: int, node: CompiledNode) -> dict[str, Any]:
        """The node's inputs: demand, else edge, else what the graph says; copies for those who might change them."""
        if self._began is not None:
            self.tell_started(place)
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
        if own:
            inputs.update(own)
        given = node.given
        collected = collect(self.edges[place], self.results, inputs)
        for port, value in inputs.items():
            if value.__class__ not in FIXED:
                inputs[port] = given(value)
        for port, values in collected.items():
            inputs[port] = [value if value.__class__ in FIXED else given(value) for value in values]
        if place in self.seeds and "seed" in inputs and inputs["seed"] is None:
            inputs["seed"] = self.seeds[place]
        self._ask_policy(place, node, inputs)
        return inputs

    def _ask_policy(self, place: int, node: CompiledNode, inputs: dict[str, Any]) -> None:
        """Whether the type wants the result for these inputs kept."""
        once = self.once
        if node.policy is None or once is None or once[place]:
            return
        if not self._evaluator.keeping.wants(node, inputs):
            once[place] = 1
        elif node.execution == INLINE:
            self._noted.append((node, self.keys[place]))  # type: ignore[arg-type]

    def _begin(self, place: int, node: CompiledNode, inputs: dict[str, Any]) -> Any:
        """Join or start the execution of an async or thread node.

        Returns:
            The outputs if it is done, which many async nodes are before they ever suspend; its flight if it has
            suspended; `_LATER` if the result will come through `settle`, `_SETTLED` if it has.
        """
        evaluator = self._evaluator
        key: bytes = self.keys[place]  # type: ignore[assignment]
        flight = evaluator.flights.get(key)
        if flight is not None:
            flight.join(self, place)
            node.stats.joined += 1
            return _LATER
        self.ran += 1
        if node.execution != ASYNC:
            evaluator.threads.submit(self._depart(place, node, key), inputs)
            return _LATER
        context = LoopContext(evaluator, node, None)
        noted = self._began is not None or evaluator.stored is not None
        if node.departs or node.hosted or noted or node.policy is not None:
            flight = self._depart(place, node, key)
            context.attach(flight)
        coroutine = node.handler(inputs, context)
        try:
            first = coroutine.send(None)
        except StopIteration as done:
            if flight is None:
                return done.value
            flight.succeed(done.value)
            return _SETTLED
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
        if self.can_go_on:
            self._evaluator.make_ready(self)

    def failed(self, place: int, error: GraphportError) -> None:
        """A node has failed: the demand fails, or the error goes on over the node's error edges."""
        if self.closed:
            return
        if not self.plan.nodes[place].routes_error or not goes_over_edge(error) or self._is_target(place):
            self.fail(error)
            return
        self._advance(place, {ERROR_PORT: as_value(error)})
        if self.can_go_on:
            self._evaluator.make_ready(self)

    def _is_target(self, place: int) -> bool:
        targets = self.plan.targets
        return place in targets if targets is not None else place == len(self.results) - 1

    def _advance(self, place: int, outputs: Outputs, *, known: bool = False) -> None:
        """Note a result; answer if it is the target's, else see what can go now."""
        self.results[place] = outputs
        if self._began is not None:
            self.tell_settled(place, known=known)
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

    # Ending

    def _finish(self, *, cached: bool) -> None:
        if self.closed:
            return
        targets, ran = self.plan.targets, self.ran
        if targets is None:
            place = len(self.results) - 1
            outputs, skipped = self._outputs_of(place), self.results[place] is SKIPPED
        else:
            outputs = {self.plan.nodes[place].id: self._outputs_of(place) for place in targets}
            skipped = bool(targets) and all(self.results[place] is SKIPPED for place in targets)
            ran -= 1  # the node that awaits them
            cached = not ran
        self.session.history.note(self)
        took_s = self._evaluator.tally.ended(self, ran, cached=cached)
        meta = {
            "revision": self.graph.revision,
            "us": int(took_s * 1e6),
            "ran": ran,
            "cached": cached,
            "skipped": skipped,
        }
        if self._evaluator.stuck.flights:
            meta["stuck"] = len(self._evaluator.stuck.flights)
        self.close()
        self.sink.complete(self.demand, self.node, outputs, meta)
        if self._deadline_ms is not None and self.sink.holds(self.demand):
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
        if self._began is not None and self._preparing is None and error.node_id in self.plan.position:
            event = {"event": "failed", "code": error.code}
            self.sink.event(self.demand, error.node_id, event)
        self._evaluator.tally.ended(self, self.ran, code=error.code)
        self.close()
        self.sink.fail(self.demand, self.node, error)
        if self._timer is not None and self.sink.holds(self.demand):
            self._end_by(error)

    def _end_by(self, error: GraphportError) -> None:
        """The last message waits to be sent, and the deadline still holds."""
        left = self.received + (self._deadline_ms or 0) / 1000 - perf_counter()  # uvloop's timer of 0 ms knows no time
        self.sink.ends_by(self.demand, self.node, self._evaluator.loop.time() + left, error)

    def _expire(self) -> None:
        self.fail(overdue(self._deadline_ms or 0))

    def close(self) -> None:
        """Emit nothing more, and let go of everything."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._evaluator.forget(self)
        # They know each other: results would stay until the next collection of cycles.
        self._needs = self._preparing = None
        flights, self.flights = self.flights, []
        for flight in flights:
            flight.leave(self)


def overdue(deadline_ms: int) -> DemandStopped:
    """What a demand is answered when its deadline has passed."""
    return DemandStopped(f"the deadline of {deadline_ms} ms passed", code="deadline_exceeded")
