"""What a run tells while it goes on: chunks that nodes stream, and events.

Must not settle anything. The base of `run.Run`; its methods for chunks and progress are called by `flight`.
"""

from __future__ import annotations

from itertools import groupby
from time import perf_counter
from typing import TYPE_CHECKING, Any

from graphport.contracts.node import ERROR_PORT
from graphport.core.errors import GraphportError
from graphport.demand.needs import SKIPPED
from graphport.demand.outputs import failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphport.contracts.sink import DemandSink
    from graphport.demand.memo import Memo, Outputs
    from graphport.graph.plan import Plan


class Telling:
    """A demand that may listen to chunks and events.

    Attributes:
        demand: the BEAM's number.
        sink: takes what is told.
        plan: what the demand can need.
        keys: per node its key, None while unknown.
        results: per node its outputs, None until settled.
        closed: answered; nothing is told any more.
    """

    __slots__ = ("_began", "_memo", "_stream", "closed", "demand", "keys", "plan", "results", "sink")

    keys: list[bytes | None]
    plan: Plan
    results: list[Outputs | None]

    def __init__(
        self, demand: int, sink: DemandSink, memo: Memo, *, stream: bool | frozenset[str], events: bool
    ) -> None:
        self.demand = demand
        self.sink = sink
        self._memo = memo
        self._stream = stream
        # When each node began, by place, if the demand wants events.
        self._began: dict[int, float] | None = {} if events else None
        self.closed = False

    def fail(self, error: GraphportError) -> None:
        """Answer with an error, unless answered already, and let go of everything."""
        raise NotImplementedError

    def chunk(self, place: int, port: str, chunk: Any) -> bool:
        """Pass a chunk of a node on, if the demand listens to that node; returns whether the demand is behind."""
        if self.closed or not (self._stream is True or self.listens(place)):
            return False
        return self.sink.chunk(self.demand, self.plan.nodes[place].id, port, chunk)

    def replay(self, place: int, chunks: list[tuple[Any, Any]]) -> None:
        """Pass on what a node has streamed already, if the demand listens to that node."""
        if self.closed:
            return
        node = self.plan.nodes[place]
        if node.type.inner is None and all(port.__class__ is str for port, _ in chunks):
            if self.listens(place):
                self.sink.replay(self.demand, node.id, chunks)
            return
        # Some are of nodes within the node, which it holds, or which it brought itself.
        for inner, some in groupby(chunks, lambda chunk: None if chunk[0].__class__ is str else chunk[0][0]):
            if inner is None:
                if self.listens(place):
                    self.sink.replay(self.demand, node.id, list(some))
                continue
            path = f"{node.id}/{inner}"
            if self.hears(place, path):
                self.sink.replay(self.demand, path, [(port, chunk) for (_, port), chunk in some])

    def replay_kept(self, place: int) -> None:
        """Pass on what a node streamed when its cached result was made. That may fail the run."""
        if self._stream:
            chunks = self._memo.chunks(self.keys[place])  # type: ignore[arg-type]
            if chunks:
                try:
                    self.replay(place, chunks)
                except GraphportError as error:  # no demand had wanted these chunks before
                    self.fail(failure(self.plan.nodes[place], error))

    def listens(self, place: int) -> bool:
        """Whether the demand wants the chunks of a node."""
        stream = self._stream
        return stream is True or (stream is not False and self.plan.nodes[place].id in stream)

    def hears(self, place: int, path: str) -> bool:
        """Whether the demand wants the chunks of a node within a node: of that path, or of all in the outer one."""
        return self.listens(place) or (self._stream is not False and path in self._stream)  # type: ignore[operator]

    @property
    def streams(self) -> bool:
        """Whether the demand wants any chunks."""
        return self._stream is not False

    def tell(self, path: str, event: dict[str, Any]) -> None:
        """Tell of a node within a node, if the demand wants events."""
        if self._began is not None and not self.closed:
            self.sink.event(self.demand, path, event)

    @property
    def wants_events(self) -> bool:
        """Whether it is told what becomes of nodes."""
        return self._began is not None

    def replay_known(self) -> bool:
        """Nodes may not be reached again; what they sent when they ran is wanted all the same. False if it fails."""
        for place in self.plan.streaming:
            if self.keys[place] is not None:
                self.replay_kept(place)
        return not self.closed

    def count_hits(self, places: Iterable[int]) -> None:
        """Count nodes whose results the cache had."""
        nodes = self.plan.nodes
        for place in places:
            nodes[place].stats.hits += 1

    def tell_found(self, places: Iterable[int]) -> None:
        """Tell of nodes that need not be executed, if the demand wants events."""
        if self._began is None:
            return
        for place in places:
            kind = "skipped" if self.results[place] is SKIPPED else "cached"
            self.sink.event(self.demand, self.plan.nodes[place].id, {"event": kind})

    def progress(self, place: int, event: dict[str, Any]) -> None:
        """Tell how far a node is, if the demand wants events."""
        if self._began is not None and not self.closed:
            self.sink.event(self.demand, self.plan.nodes[place].id, event)

    def tell_started(self, place: int) -> None:
        """Tell of a node that begins. Only if the demand wants events."""
        if place < self.plan.size:
            self._began[place] = perf_counter()  # type: ignore[index]
            self.sink.event(self.demand, self.plan.nodes[place].id, {"event": "started"})

    def tell_settled(self, place: int, *, known: bool) -> None:
        """Tell of a node that is done, or was found `known`. Only if the demand wants events."""
        if known:
            self.tell_found((place,))
        elif ERROR_PORT in self.results[place]:  # type: ignore[operator]
            event = {"event": "failed", "code": self.results[place][ERROR_PORT]["code"]}  # type: ignore[index]
            self.sink.event(self.demand, self.plan.nodes[place].id, event)
        elif place < self.plan.size:
            took_us = int((perf_counter() - self._began[place]) * 1e6)  # type: ignore[index]
            event = {"event": "completed", "us": took_us}
            self.sink.event(self.demand, self.plan.nodes[place].id, event)
