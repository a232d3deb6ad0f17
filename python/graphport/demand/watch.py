"""A demand that goes on: evaluated at once, and again after each edit that dirties something it needs.

Each evaluation is a run of its own, with a sink that passes on what is wanted, and is no demand of the evaluator's.
After an edit the run under way is *outdated*: it tells nothing more and begins nothing, and keeps only those executions
that the next run may join, until that has joined them. Must not execute anything itself. Called by `evaluator`.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import GraphportError
from graphport.demand.asked import check_given, target_of
from graphport.demand.run import Run, overdue
from graphport.graph.compile import ALL_SINKS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection, Generator, Mapping, Sequence

    from graphport.contracts.sink import DemandSink, Target
    from graphport.demand.evaluator import Evaluator
    from graphport.demand.flight import Flight
    from graphport.demand.memo import Outputs
    from graphport.demand.session import Session

# Between two evaluations of a watch at least so much time passes: edits that come faster are evaluated together.
_EVERY_S: Final = 0.02


class Watch:
    """One watch.

    Args:
        evaluator: evaluates it.
        session: the session.
        demand: its number.
        node: what is watched.
        inputs: the demand's own.
        stream: as of a demand.
        events: as of a demand.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        session: Session,
        demand: int,
        node: Target,
        *,
        inputs: Mapping[str, dict[str, Any]],
        stream: bool | frozenset[str],
        events: bool,
    ) -> None:
        self.demand = demand
        self.node = node
        self._evaluator = evaluator
        self._session = session
        self._inputs = inputs
        self._stream = stream
        self._events = events
        self._alone = not (stream or events)
        self._concerns = {*([node] if isinstance(node, str) else node), *inputs}
        self._run: _WatchRun | None = None
        self._outdated: list[_WatchRun] = []
        self._planned: asyncio.Handle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._began = 0.0
        # What was sent last: keys and ids of the targets (sinks come and go), and a digest of the outputs. None where
        # nothing is known of it.
        self._keys: list[bytes | None] | None = None
        self._names: list[str] = []
        self._digest: bytes | None = None
        # Per node that streams, the key of the result whose stream was sent to its end.
        self._streamed: dict[str, bytes | None] = {}
        evaluator.watches[demand] = session.watches[demand] = self

    def start(self, deadline_ms: int | None, *, fresh: bool) -> None:
        """Evaluate for the first time."""
        if deadline_ms is not None:
            self._deadline = self._evaluator.loop.call_later(deadline_ms / 1000, self.fail, overdue(deadline_ms))
        self._evaluate(fresh=fresh)

    def edited(self, dirty: Collection[str], removed: Collection[str]) -> None:
        """The session has been edited."""
        if self.node == ALL_SINKS:
            concerned = bool(dirty or removed)
        else:
            concerned = not (self._concerns.isdisjoint(dirty) and self._concerns.isdisjoint(removed))
        if concerned:
            self.again()

    def again(self) -> None:
        """Evaluate anew, soon: something that it may need is another now."""
        if self._run is not None:
            self._outdate(self._run)
        if self._planned is None:
            wait_s = self._began + _EVERY_S - perf_counter()
            loop = self._evaluator.loop
            self._planned = loop.call_later(wait_s, self._evaluate) if wait_s > 0 else loop.call_soon(self._evaluate)

    def _outdate(self, run: _WatchRun) -> None:
        self._run = None
        run.outdate()
        if not run.closed:
            self._outdated.append(run)

    def _evaluate(self, *, fresh: bool = False) -> None:
        """Begin an evaluation of the session's present graph."""
        self._planned = None
        self._began = perf_counter()
        evaluator = self._evaluator
        try:
            target = target_of(self._session.graph, self.node)
            check_given(self._inputs, self._session.graph)
        except GraphportError as error:  # a node that is not there (any more)
            self.failed(None, error)
            return
        run = self._run = _WatchRun(
            evaluator,
            self._session,
            target,
            self.demand,
            self.node,
            inputs=self._inputs,
            stream=self._stream,
            fresh=fresh,
            events=self._events,
            received=self._began,
            sink=_WatchSink(self, evaluator.sink),
        )
        run.watch = self
        evaluator.started += 1
        run.start(None)
        if run.can_go_on:
            evaluator.make_ready(run)

    def prepared(self, run: _WatchRun) -> None:
        """The keys of a run are known: of the outdated ones only what it may join is kept."""
        outdated, self._outdated = self._outdated, []
        held: set[Flight] = set()
        for old in reversed(outdated):
            old.keep(run, held)
            if not old.closed:
                self._outdated.append(old)

    def completed(self, run: _WatchRun | None, outputs: Outputs, meta: dict[str, Any]) -> None:
        """An evaluation is done: tell it, if it is news."""
        if run is None:
            return
        self._over()
        targets = run.plan.targets or (len(run.plan.nodes) - 1,)
        keys = [run.keys[place] for place in targets]
        names = [run.plan.nodes[place].id for place in targets]
        for place in run.plan.streaming:
            self._streamed[run.plan.nodes[place].id] = run.keys[place]
        if None not in keys and keys == self._keys and names == self._names:
            return
        digest = self._evaluator.hasher.digest(outputs)
        is_news = self._keys is None or digest is None or digest != self._digest
        self._keys, self._names, self._digest = keys, names, digest
        if is_news:
            self._evaluator.sink.output(self.demand, self.node, outputs, meta, alone=self._alone)

    def failed(self, run: _WatchRun | None, error: GraphportError) -> None:
        """An evaluation has failed; the watch goes on."""
        self._over()
        self._keys = None
        self._evaluator.sink.failed(self.demand, self.node, error, alone=self._alone)

    def current(self) -> _WatchRun | None:
        """The evaluation under way."""
        return self._run

    def _over(self) -> None:
        self._run = None
        outdated, self._outdated = self._outdated, []
        for old in outdated:
            old.close()

    def was_streamed(self, node: str) -> bool:
        """Whether the stream of a node's present result was sent to its end by an evaluation before."""
        run = self._run
        place = None if run is None else run.plan.position.get(node)
        if run is None or place is None or run.keys[place] is None:
            return False
        return self._streamed.get(node) == run.keys[place]

    def close(self) -> None:
        """Stop everything, and say nothing."""
        evaluator, session = self._evaluator, self._session
        if evaluator.watches.get(self.demand) is not self:
            return
        del evaluator.watches[self.demand], session.watches[self.demand]
        for handle in (self._planned, self._deadline):
            if handle is not None:
                handle.cancel()
        run = self._run
        if run is not None:
            self._outdate(run)
        self._over()

    def fail(self, error: GraphportError) -> None:
        """Stop everything, and send the one last message."""
        if self.demand in self._evaluator.watches:
            self.close()
            self._evaluator.sink.fail(self.demand, self.node, error)


class _WatchRun(Run):
    """One evaluation of a watch.

    Attributes:
        watch: whose; None once it is outdated.
    """

    __slots__ = ("watch",)

    watch: Watch | None

    def start(self, deadline_ms: int | None) -> None:
        """See `Run`."""
        super().start(deadline_ms)
        self._alone = -1  # others may compute the same meanwhile

    def _prepare(self) -> Generator[None, None, None]:
        yield from super()._prepare()
        if self.watch is not None:
            self.watch.prepared(self)

    def outdate(self) -> None:
        """Tell nothing more and begin nothing; what is under way goes on until `keep` or `close`."""
        self.watch = None
        self.ready.clear()
        self._needs = self._preparing = None
        if isinstance(self.sink, _WatchSink):
            self.sink.watch = None
        if not self.flights:
            self.close()

    def keep(self, successor: Run, held: set[Flight]) -> None:
        """Leave what the successor will not join, and what is held for it already; note the rest."""
        position, keys = successor.plan.position, successor.keys
        for flight in list(self.flights):
            place = position.get(flight.node.id)
            if place is None or keys[place] not in (None, flight.key) or flight in held:
                self.flights.remove(flight)
                flight.leave(self)
            else:
                held.add(flight)
        if not self.flights:
            self.close()

    @property
    def can_go_on(self) -> bool:
        """See `Run`."""
        return self.watch is not None and super().can_go_on

    def go_on(self) -> None:
        """See `Run`."""
        if self.watch is not None:
            super().go_on()

    def step(self, until: float, *, in_task: bool) -> Flight | None:
        """See `Run`."""
        return None if self.watch is None else super().step(until, in_task=in_task)

    def settle(self, place: int, outputs: Outputs) -> None:
        """See `Run`."""
        if self.watch is not None:
            super().settle(place, outputs)
        elif not self.flights:
            self.close()

    def _advance(self, place: int, outputs: Outputs, *, known: bool = False) -> None:
        if self.watch is not None:  # else a store has answered too late
            super()._advance(place, outputs, known=known)

    def failed(self, place: int, error: GraphportError) -> None:
        """See `Run`."""
        if self.watch is not None:
            super().failed(place, error)
        else:
            self.flights = [flight for flight in self.flights if not flight.over]
            if not self.flights:
                self.close()

    def close(self) -> None:
        """See `Run`."""
        if not self.closed:
            super().close()


class _WatchSink:
    """Passes on to the evaluator's sink what a run of a watch says, under the number of the watch."""

    def __init__(self, watch: Watch, sink: DemandSink) -> None:
        self.watch: Watch | None = watch
        self._demand = watch.demand
        self._sink = sink

    def complete(self, demand: int, node: Target, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        """See `DemandSink`."""
        if self.watch is not None:
            self.watch.completed(self.watch.current(), outputs, meta)

    def fail(self, demand: int, node: Target, error: GraphportError) -> None:
        """See `DemandSink`."""
        if self.watch is not None:
            self.watch.failed(self.watch.current(), error)

    def chunk(self, demand: int, node: str, port: str, chunk: Any) -> bool:
        """See `DemandSink`."""
        return self.watch is not None and self._sink.chunk(self._demand, node, port, chunk)

    def replay(self, demand: int, node: str, chunks: Sequence[tuple[str, Any]]) -> None:
        """See `DemandSink`. What the watch was sent before, it is not sent again."""
        if self.watch is not None and not self.watch.was_streamed(node):
            self._sink.replay(self._demand, node, chunks)

    def event(self, demand: int, node: str, event: dict[str, Any]) -> None:
        """See `DemandSink`."""
        if self.watch is not None:
            self._sink.event(self._demand, node, event)

    def behind(self, demand: int) -> bool:
        """See `DemandSink`."""
        return self.watch is not None and self._sink.behind(self._demand)

    async def caught_up(self, demand: int) -> None:
        """See `DemandSink`."""
        if self.watch is not None:
            await self._sink.caught_up(self._demand)

    def holds(self, demand: int) -> bool:
        """See `DemandSink`. A run of a watch has no last message."""
        return False

    def ends_by(self, demand: int, node: Target, when: float, error: GraphportError) -> None:
        """Never called, for a run of a watch has no deadline."""
        raise NotImplementedError

    def prepare(self, node: str, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        """See `DemandSink`. Every evaluation is another one."""

    def complete_prepared(self, demand: int, prepared: Any, us: int) -> None:
        """Never called, for nothing is prepared."""
        raise NotImplementedError

    def output(self, demand: int, node: Target, outputs: dict[str, Any], meta: dict[str, Any], *, alone: bool) -> None:
        """Never called by a run."""
        raise NotImplementedError

    def failed(self, demand: int, node: Target, error: GraphportError, *, alone: bool) -> None:
        """Never called by a run."""
        raise NotImplementedError

    def degraded(self, stuck: int, reason: str) -> None:
        """Never called by a run."""
        raise NotImplementedError
