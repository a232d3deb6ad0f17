"""The engine's heart: sessions, open demands, and the loop that carries them on.

One thread, one event loop. `advance` executes ready inline nodes for at most `TURN_S`, then lets the loop poll the
pipe. An `async` node makes a task only when it is reached, and that task then takes the loop's part: it begins the node
and goes on with whatever is ready; only if the node really suspends does another turn, and perhaps another task, take
over. So a task is made per concurrent wait, not per node. Must not know the wire or any concrete node.
Called by `server`.
"""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any

from graphport.core.errors import DemandStopped, GraphportError, LookupFailed
from graphport.demand import answers
from graphport.demand.asked import check_given, target_of
from graphport.demand.flight import Flight
from graphport.demand.keeping import Keeping
from graphport.demand.memo import Memo
from graphport.demand.outputs import failure
from graphport.demand.provenance import ProvenanceSink
from graphport.demand.questions.tally import Tally
from graphport.demand.questions.trace import Trace, Traces, TracingSink
from graphport.demand.ready_queue import TURN_S, ReadyQueue
from graphport.demand.run import Run, overdue
from graphport.demand.session import Session
from graphport.demand.stored import Stored
from graphport.demand.stuck import StuckWork
from graphport.demand.subrun import BroughtGraphs, evaluate
from graphport.demand.threads import NodeThreads
from graphport.demand.watch import Watch
from graphport.graph.compile import CompiledGraph
from graphport.graph.definitions import Definition
from graphport.graph.digest import BLAKE2B, XXH3
from graphport.graph.recompile import Recompiled, recompile
from graphport.graph.validate import load_graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphport.contracts.cache_store import CacheStore
    from graphport.contracts.host import HostCaller
    from graphport.contracts.inner_graph import InnerGraph
    from graphport.contracts.sink import DemandSink, Target
    from graphport.graph.catalogue import Catalogue
    from graphport.graph.compile import CompiledNode
    from graphport.graph.plan import Plan
    from graphport.graph.type_stats import TypeStats

_log = logging.getLogger("graphport.evaluator")

# How long a stopping engine writes results that wait for it: less than it is given to end.
_FLUSH_S = 0.5


class Evaluator:
    """Evaluates demands. Make it on the loop's thread; call it from there only.

    Attributes:
        host: runs nodes of the host's types, if there is a host.

    Args:
        catalogue: the node types graphs may use.
        sink: where answers go.
        services: what nodes get from `ctx.service(name)`.
        memo: the cache; a fresh one of default size if none is given.
        max_threads: threads for nodes that block; None for the default.
        store: where results are kept beyond this engine; it is closed with the evaluator.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        sink: DemandSink,
        *,
        services: Mapping[str, Any] | None = None,
        memo: Memo | None = None,
        max_threads: int | None = None,
        store: CacheStore | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.sink = sink
        self.services = {} if services is None else services
        self.memo = Memo() if memo is None else memo
        # Keys that others share are made so that nobody can make two that are equal.
        self.hasher = self.memo.hasher = XXH3 if store is None else BLAKE2B
        self.stored = None if store is None else Stored(store, self.memo, self.loop)
        self.keeping = Keeping(self.memo, self.stored)
        self.host: HostCaller | None = None
        self.stuck = StuckWork(self.loop, sink.degraded)
        self.threads = NodeThreads(self.loop, self.stuck, max_threads=max_threads)
        self.flights: dict[bytes, Flight] = {}
        self.runs: dict[int, Run] = {}
        self.watches: dict[int, Watch] = {}
        self.started = 0
        self.remembered_bytes = 0  # of what nodes under way have streamed
        self.sessions: dict[int, Session] = {}
        self.stats: dict[str, TypeStats] = {}
        self.tally = Tally()
        self.traces = Traces()
        self.catalogue = catalogue
        self._brought = BroughtGraphs(catalogue)
        self._ready = ReadyQueue()
        self._carriers: set[asyncio.Task[None]] = set()
        self._turn_planned = False
        self._closing = False

    # Sessions

    def open(self, session_id: int, graph: Any) -> Session:
        """Load a graph.

        Raises:
            GraphInvalid: with every fault found.
            LookupFailed: `duplicate_id` if the session exists.
        """
        return self.add(session_id, self.load(graph))

    def load(self, graph: Any, revision: int = 1) -> CompiledGraph:
        """Read, check and compile a graph, which then counts as that revision. From any thread: it touches no session.

        Raises:
            GraphInvalid: with every fault found.
        """
        return CompiledGraph(
            load_graph(graph, self.catalogue),
            self.catalogue,
            revision=revision,
            stats=self.stats,
            hasher=self.hasher,
        )

    def add(self, session_id: int, graph: CompiledGraph) -> Session:
        """Open a session of a graph that `load` gave.

        Raises:
            LookupFailed: `duplicate_id` if the session exists.
        """
        if session_id in self.sessions:
            raise LookupFailed(f"session {session_id} is open already", code="duplicate_id")
        session = self.sessions[session_id] = Session(session_id, graph)
        return session

    def close_session(self, session_id: int) -> None:
        """Forget a session; its open demands are answered `cancelled`.

        Raises:
            LookupFailed: `unknown_session`.
        """
        session = self.session(session_id)
        del self.sessions[session_id]
        of_session: list[Run | Watch] = [*session.watches.values(), *session.runs.values()]
        for run in of_session:
            run.fail(DemandStopped("the session was closed", code="cancelled"))

    def edit(self, graph: CompiledGraph, edits: Sequence[Any]) -> Recompiled:
        """Make of a session's graph an edited one. From any thread: it touches no session.

        Raises:
            GraphInvalid: with every fault found.
        """
        return recompile(graph, edits, self.catalogue, stats=self.stats)

    def update(self, session_id: int, edited: Recompiled) -> None:
        """Give a session the graph that `edit` made of its present one. Demands under way go on with the one before.

        Raises:
            LookupFailed: `unknown_session`.
        """
        session = self.session(session_id)
        if session.answers:
            answers.edited(session, edited.graph)
        session.graph = edited.graph
        if session.watches:
            dirty = frozenset(edited.dirty)
            for watch in list(session.watches.values()):
                watch.edited(dirty, edited.removed)

    def answer(self, session_id: int, node: str, value: Any) -> int:
        """Give a node of a session the answer of a person. See `answers.answer`, also for what it raises.

        Raises:
            LookupFailed: `unknown_session`.
        """
        session = self.session(session_id)
        waited = answers.answer(session, node, value)
        for watch in session.watches.values():
            watch.again()
        return waited

    def session(self, session_id: int) -> Session:
        """An open session.

        Raises:
            LookupFailed: `unknown_session`.
        """
        session = self.sessions.get(session_id)
        if session is None:
            raise LookupFailed(f"session {session_id} is not open", code="unknown_session")
        return session

    # Demands

    def demand(
        self,
        demand: int,
        session_id: int,
        node: Target,
        inputs: Mapping[str, dict[str, Any]] | None = None,
        deadline_ms: int | None = None,
        stream: bool | frozenset[str] = False,
        fresh: bool = False,
        events: bool = False,
        trace: bool = False,
        provenance: bool | dict[str, Any] = False,
        watch: bool = False,
        wait: bool = False,
    ) -> None:
        """Start a demand, whose number no open demand has. Everything about it, refusals too, is told to the sink.

        What is answered from the cache is answered before this returns; the rest needs `advance`.

        Args:
            demand: its number.
            session_id: the graph.
            node: a node's id, several different ones, or `"*"` for all sinks.
            inputs: node id to port to value.
            deadline_ms: milliseconds from now until it fails, or None.
            stream: send chunks of all nodes, of none, or of these.
            fresh: draw new seeds.
            events: send events.
            trace: keep a trace of the run.
            provenance: tell where the outputs come from; a map is told with it.
            watch: go on after the outputs, and evaluate again after each edit that dirties something the demand needs.
            wait: stay open while a person's answer is awaited, instead of failing as `waiting_for_input`.
        """
        received = perf_counter()
        try:
            if self._closing:
                raise DemandStopped("the engine is stopping", code="shutting_down")
            session = self.sessions.get(session_id) or self.session(session_id)
            target = target_of(session.graph, node)
            if inputs:
                check_given(inputs, session.graph)
        except GraphportError as error:
            self.tally.refused += 1
            self.sink.fail(demand, node, error)
            return
        if watch:
            made = Watch(self, session, demand, node, inputs=inputs or {}, stream=stream, events=events)
            made.start(deadline_ms, fresh=fresh)
            return
        if not (inputs or events or fresh or trace or provenance is not False):
            plan = session.graph.known_plan(target)
            if (
                plan is not None
                and plan.keys is not None
                and self._answer_at_once(demand, session, plan, stream, received, deadline_ms)
            ):
                return
        sink: Any = None
        if trace or provenance is not False:
            trace_of = Trace(demand, session_id, node) if trace else None
            sink = self._sink_beside(trace_of, provenance, received, events)
        run = Run(
            self,
            session,
            target,
            demand,
            node,
            inputs=inputs or {},
            stream=stream,
            fresh=fresh,
            events=events or sink is not None,
            received=received,
            sink=sink,
        )
        if sink is not None:
            sink.is_for(run)
        run.waits = wait
        self.started += 1
        self.runs[demand] = session.runs[demand] = run
        run.start(deadline_ms)
        if run.can_go_on:
            self._ready.add(run)

    def answer_again(
        self, demand: int, session_id: int, node: str, stream: bool | frozenset[str], deadline_ms: int | None
    ) -> bool:
        """Answer from the cache a demand for one node that asks for nothing further, like one before it.

        Returns:
            Whether it could be. If not, nothing is told to the sink, and `demand` is to be called.
        """
        received = perf_counter()
        session = self.sessions.get(session_id)
        if session is None or self._closing:
            return False
        target = session.graph.index.get(node)
        plan = None if target is None else session.graph.known_plan(target)
        return (
            plan is not None
            and plan.keys is not None
            and self._answer_at_once(demand, session, plan, stream, received, deadline_ms)
        )

    def _sink_beside(
        self, trace: Trace | None, provenance: bool | dict[str, Any], received: float, events: bool
    ) -> TracingSink | ProvenanceSink:
        """What notes a trace, or provenance, or both, of what passes to the evaluator's sink."""
        tracing = None if trace is None else TracingSink(self, self.sink, trace, received=received, events=events)
        if provenance is False and tracing is not None:
            return tracing
        caller = provenance if isinstance(provenance, dict) else None
        return ProvenanceSink(tracing or self.sink, caller, events=events or trace is not None)

    def _answer_at_once(
        self,
        demand: int,
        session: Session,
        plan: Plan,
        stream: object,
        received: float,
        deadline_ms: int | None,
    ) -> bool:
        """Answer from the cache, without a run, where the key is known from an earlier demand."""
        target = plan.nodes[-1]
        if plan.keys_generation != session.generation or target.gate or (stream and plan.streaming):
            return False
        outputs = self.memo.get(plan.keys[-1])  # type: ignore[index,arg-type]
        if outputs is None:
            return False
        target.stats.at_once += 1
        answer = plan.answer
        revision = session.graph.revision
        if answer is None or answer[0] is not outputs or answer[2] != revision:
            meta = {"revision": revision, "us": 0, "ran": 0, "cached": True, "skipped": False}
            prepared = self.sink.prepare(target.id, outputs, meta)
            if prepared is None:
                meta["us"] = int((perf_counter() - received) * 1e6)
                self.sink.complete(demand, target.id, outputs, meta)
                if deadline_ms is not None and self.sink.holds(demand):
                    self.sink.ends_by(demand, target.id, self.loop.time() + deadline_ms / 1000, overdue(deadline_ms))
                return True
            answer = plan.answer = (outputs, prepared, revision)
        self.sink.complete_prepared(demand, answer[1], int((perf_counter() - received) * 1e6))
        return True

    def cancel(self, demand: int) -> None:
        """Answer a demand `cancelled` and stop what only it needs. Unknown demands are ignored."""
        run: Run | Watch | None = self.runs.get(demand) or self.watches.get(demand)
        if run is not None:
            run.fail(DemandStopped("the demand was cancelled", code="cancelled"))

    def abandon(self, demand: int) -> None:
        """Drop a demand without an answer; the caller gives one."""
        run = self.runs.get(demand) or self.watches.get(demand)
        if run is not None:
            run.close()

    def forget(self, run: Run) -> None:
        """A run is answered."""
        if self.runs.get(run.demand) is not run:
            return  # of a node that holds a graph, or of a watch
        del self.runs[run.demand]
        del run.session.runs[run.demand]

    async def evaluate(
        self,
        flight: Flight | None,
        graph: InnerGraph | Mapping[str, Any],
        inputs: Mapping[str, Any],
        *,
        targets: Sequence[str] | None,
        label: str,
        seed: int | None,
    ) -> dict[str, Any]:
        """Evaluate a graph within a node: `contracts.run_context.RunContext.evaluate`."""
        inner = graph if isinstance(graph, Definition) else self._brought.get(graph)  # type: ignore[arg-type]
        return await evaluate(self, flight, inner, inputs, targets=targets, label=label, seed=seed)

    # The loop

    def make_ready(self, run: Run) -> None:
        """A run can go on: in the next turn of the loop at the latest."""
        self._ready.add(run)
        self._plan_turn()

    def advance(self) -> None:
        """Carry on ready runs for at most `TURN_S`; plan another turn if that was not enough."""
        if not self._ready:
            return
        until = perf_counter() + TURN_S
        while (run := self._ready.take()) is not None:
            run.step(until, in_task=False)
            if run.can_go_on:
                self._ready.add(run)
                if run.awaits_task:
                    self._carry_in_task()
                    return
            if perf_counter() >= until:
                break
        if self._ready:
            self._plan_turn()

    def _plan_turn(self) -> None:
        if not self._turn_planned:
            self._turn_planned = True
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        # Here and not in `advance`, which others call as well: each time would leave one planned turn more.
        self._turn_planned = False
        self.advance()

    def _carry_in_task(self) -> None:
        task = self.loop.create_task(self._carry())
        self._carriers.add(task)
        task.add_done_callback(self._carriers.discard)

    async def _carry(self) -> None:
        """`advance` as a task: async nodes may begin, and one that suspends is awaited here."""
        task = asyncio.current_task()
        until = perf_counter() + TURN_S
        while (run := self._ready.take()) is not None:
            flight = run.step(until, in_task=True)
            if run.can_go_on:
                self._ready.add(run)
            if flight is not None:
                if self._ready:
                    self._plan_turn()
                await self._await_rest(flight, task)
                if task is None or task.cancelling():
                    break
                until = perf_counter() + TURN_S
            elif perf_counter() >= until:
                await asyncio.sleep(0)
                until = perf_counter() + TURN_S
        if self._ready:
            self._plan_turn()

    async def _await_rest(self, flight: Flight, task: asyncio.Task[Any] | None) -> None:
        """Await what is left of a node that has suspended, and hand its result on."""
        if flight.rest is None:
            return
        flight.task = task
        node = flight.node
        began = perf_counter()
        try:
            outputs = await flight.rest
        except BaseException as raised:  # a node's border: whatever it raises is its own failure
            ending = isinstance(raised, asyncio.CancelledError | GeneratorExit)
            if ending and self._closing and not flight.cancelled:
                raise
            flight.fail(failure(node, raised))
        else:
            node.stats.add(1, began)
            flight.succeed(outputs)
        finally:
            flight.task = flight.rest = None
            if flight.cancelled:
                self.stuck.ended(flight)

    # Flights

    def depart(self, node: CompiledNode, key: bytes, *, store: bool) -> Flight:
        """Note an execution that others may join."""
        flight = self.flights[key] = Flight(self, node, key, store=store)
        return flight

    def land(self, flight: Flight) -> None:
        """An execution is over or given up: nobody joins it any more."""
        if self.flights.get(flight.key) is flight:
            del self.flights[flight.key]

    async def close(self) -> None:
        """Answer every open demand `shutting_down` and stop all work."""
        self._closing = True
        everything: list[Run | Watch] = [*self.watches.values(), *self.runs.values()]
        for run in everything:
            run.fail(DemandStopped("the engine is stopping", code="shutting_down"))
        carriers = list(self._carriers)
        for task in carriers:
            task.cancel()
        if carriers:
            await asyncio.wait(carriers, timeout=1.0)
        if self.stored is not None:
            await self.stored.close(_FLUSH_S)
