"""Traces of runs: what became of each node and when, kept for the last runs that were asked to be traced.

A traced run tells its events, like one whose demand wants them; a sink before its own writes them down. Runs that are
not traced know nothing of this. Made by `evaluator`, asked by `server.queries`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphport.contracts.node import ERROR_PORT
from graphport.graph.values import size_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from graphport.contracts.sink import DemandSink, Target
    from graphport.core.errors import GraphportError
    from graphport.demand.evaluator import Evaluator
    from graphport.demand.run import Run

# Steps that all traces together keep, and about how many bytes they may take.
STEPS_KEPT: Final = 10_000
_BYTES_KEPT: Final = 8_388_608
_STEP_BYTES: Final = 300


class Step(NamedTuple):
    """What became of a node. Times are microseconds since the demand came.

    Attributes:
        node: its id; of a graph within a node the path to it.
        type: its type; None within a node.
        state: `ran`, `joined`, `cached`, `skipped`, `failed`, or `left` if the demand ended before it.
        started_us: when it began, or was found.
        ended_us: when it was done.
        execution: `inline`, `async`, `thread` …; None within a node.
        key: what its result is kept by, if that was known.
        bytes: about how many its outputs have; None without any.
    """

    node: str
    type: str | None
    state: str
    started_us: int
    ended_us: int
    execution: str | None
    key: bytes | None
    bytes: int | None


@dataclass(slots=True)
class Trace:
    """One traced run.

    Attributes:
        demand: the demand's number.
        session: its session.
        node: what was demanded.
        state: `running`, `completed`, or the code of its error.
        prepared_us: when it was known what was to be done; None before.
        total_us: when it was answered; None before.
        steps: in the order in which they ended; the first ones go where there are too many.
        dropped: steps that went.
        bytes: about how many the steps take.
    """

    demand: int
    session: int
    node: Target
    state: str = "running"
    prepared_us: int | None = None
    total_us: int | None = None
    steps: deque[Step] = field(default_factory=deque)
    dropped: int = 0
    bytes: int = 0

    def add(self, step: Step) -> None:
        """Note a step."""
        self.steps.append(step)
        self.bytes += _STEP_BYTES + len(step.node)
        if len(self.steps) > STEPS_KEPT or self.bytes > _BYTES_KEPT:
            self.bytes -= _STEP_BYTES + len(self.steps.popleft().node)
            self.dropped += 1


class Traces:
    """The traces of an engine, bounded together."""

    def __init__(self) -> None:
        self._kept: deque[Trace] = deque()

    def begin(self, trace: Trace) -> None:
        """Keep a trace that is about to be written; the oldest ones go."""
        self._kept.append(trace)
        self.shrink()

    def shrink(self) -> None:
        """Let the oldest traces go while all have too many steps."""
        kept = self._kept
        steps, size = sum(len(trace.steps) for trace in kept), sum(trace.bytes for trace in kept)
        while len(kept) > 1 and (steps > STEPS_KEPT or size > _BYTES_KEPT or len(kept) > STEPS_KEPT):
            gone = kept.popleft()
            steps, size = steps - len(gone.steps), size - gone.bytes

    def find(self, demand: int | None, session: int | None) -> Trace | None:
        """The trace of a demand, or the last one, of a session if that is named."""
        for trace in reversed(self._kept):
            if demand in (None, trace.demand) and session in (None, trace.session):
                return trace
        return None


class TracingSink:
    """Stands before a run's sink, and writes down what the run tells.

    Attributes:
        run: the run, set before it starts.
        trace: what was written.
    """

    run: Run

    def __init__(self, evaluator: Evaluator, sink: DemandSink, trace: Trace, *, received: float, events: bool) -> None:
        self._evaluator = evaluator
        self._sink = sink
        self._received = received
        self._events = events
        self._open: dict[str, tuple[int, str]] = {}
        self.trace = trace
        evaluator.traces.begin(trace)

    def __getattr__(self, name: str) -> Any:
        # Chunks, answers made ready and back-pressure are the sink's own.
        return getattr(self._sink, name)

    def is_for(self, run: Run) -> None:
        """Say whose sink it is."""
        self.run = run

    def event(self, demand: int, node: str, event: dict[str, Any]) -> None:
        """See `DemandSink.event`."""
        kind = event["event"]
        if node and kind != "progress":
            self._note(node, kind)
        if self._events:
            self._sink.event(demand, node, event)

    def complete(self, demand: int, node: Target, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        """See `DemandSink.complete`."""
        self._end("completed")
        self._sink.complete(demand, node, outputs, meta)

    def fail(self, demand: int, node: Target, error: GraphportError) -> None:
        """See `DemandSink.fail`."""
        self._end(error.code)
        self._sink.fail(demand, node, error)

    def _note(self, node: str, kind: str) -> None:
        now = self._now()
        place = self.run.plan.position.get(node)
        key = None if place is None else self.run.keys[place]
        if kind == "started":
            # What is under way with that key is joined, at once.
            self._open[node] = now, "joined" if key in self._evaluator.flights else "ran"
            return
        started, state = self._open.pop(node, (now, kind))
        outputs = None if place is None else self.run.results[place]
        if kind in ("cached", "skipped", "failed"):
            state = kind
        elif outputs is not None and ERROR_PORT in outputs:
            state = "failed"
        size = None
        if outputs:
            size = (key is not None and self._evaluator.memo.size(key)) or size_of(outputs)
        self._add(node, state, started, now, key, size)

    def _add(self, node: str, state: str, started: int, ended: int, key: bytes | None, size: int | None) -> None:
        place = self.run.plan.position.get(node)
        kind: str | None = None
        execution: str | None = None
        if place is not None:
            spec = self.run.plan.nodes[place].type.spec
            kind, execution = spec.type, spec.execution
        self.trace.add(Step(node, kind, state, started, ended, execution, key, size))

    def _end(self, state: str) -> None:
        now = self._now()
        for node, (started, _) in self._open.items():
            place = self.run.plan.position.get(node)
            self._add(node, "left", started, now, None if place is None else self.run.keys[place], None)
        self._open.clear()
        self.trace.state, self.trace.total_us = state, now
        if self.run.prepared:
            self.trace.prepared_us = int((self.run.prepared - self._received) * 1e6)
        self._evaluator.traces.shrink()

    def _now(self) -> int:
        return int((perf_counter() - self._received) * 1e6)


def described(trace: Trace) -> Generator[None, None, dict[str, Any]]:
    """A trace as plain data; pauses now and then."""
    steps: list[dict[str, Any]] = []
    for step in list(trace.steps):
        row = step._asdict()
        row["key"] = None if step.key is None else step.key.hex()
        steps.append(row)
        if not len(steps) % 512:
            yield
    return {
        "demand": trace.demand,
        "session": trace.session,
        "node": trace.node,
        "state": trace.state,
        "prepared_us": trace.prepared_us,
        "total_us": trace.total_us,
        "steps": steps,
        "dropped": trace.dropped,
    }


def as_chrome(trace: Trace) -> Generator[None, None, dict[str, Any]]:
    """A trace in the trace-event format of Chrome, which Perfetto opens; pauses now and then.

    Inline nodes and what was found are in the first row; others in as many more as were under way at once.
    """
    events: list[dict[str, Any]] = []
    free_at: list[int] = []
    for step in sorted(trace.steps, key=lambda step: step.started_us):
        lane = 0
        if step.execution != "inline" and step.state not in ("cached", "skipped"):
            lane = next((row for row, until in enumerate(free_at) if until <= step.started_us), len(free_at))
            free_at[lane : lane + 1] = [step.ended_us]
            lane += 1
        event = {"name": step.node, "cat": step.type or "inner", "pid": 1, "tid": lane, "ts": step.started_us}
        key = None if step.key is None else step.key.hex()
        event["args"] = {"state": step.state, "execution": step.execution, "key": key, "bytes": step.bytes}
        if step.state in ("cached", "skipped"):
            events.append({**event, "ph": "i", "s": "t"})
        else:
            events.append({**event, "ph": "X", "dur": step.ended_us - step.started_us})
        if not len(events) % 512:
            yield
    names = ["loop", *(f"under way {row + 1}" for row in range(len(free_at)))]
    rows = [_named("thread_name", row, name) for row, name in enumerate(names)]
    title = _named("process_name", 0, f"demand {trace.demand}")
    return {"traceEvents": [title, *rows, *events], "displayTimeUnit": "ms"}


def _named(what: str, row: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": 1, "tid": row, "args": {"name": name}}
