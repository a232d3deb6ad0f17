"""A sink that keeps what demands produce in memory, so that tests ask the evaluator without a pipe.

Also holds the evaluator to the contract: whatever breaks it is noted in `breaches`. Nothing but tests imports it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from graphport.contracts.sink import PlainAnswers
from graphport.wire.codec import pack

if TYPE_CHECKING:
    from graphport.contracts.sink import Target
    from graphport.core.errors import GraphportError


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a streamed output."""

    node: str
    port: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A demand's last message.

    Attributes:
        demand: the demand's number.
        node: what was demanded.
        outputs: port to value, of several nodes node to port to value, or None if the demand failed.
        meta: what the evaluator says about a demand that completed.
        error: why the demand failed, or None.
        chunks: what was streamed to the demand before.
        events: what it was told of nodes, as `(node, event)`.
    """

    demand: int
    node: Target
    outputs: dict[str, Any] | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    error: GraphportError | None = None
    chunks: tuple[Chunk, ...] = ()
    events: tuple[tuple[str, dict[str, Any]], ...] = ()

    @property
    def code(self) -> str | None:
        """The error's code, or None."""
        return None if self.error is None else self.error.code

    def text(self, node: str | None = None) -> str:
        """The streamed text, joined; of one node if it is named."""
        return "".join(str(chunk.value) for chunk in self.chunks if node in (None, chunk.node))


class RecordingSink(PlainAnswers):
    """Stands in for the pipe: `contracts.sink.DemandSink`, and awaitable.

    Attributes:
        answers: every demand's last message, in the order in which they came.
        breaches: what the contract forbids and was done all the same; tests assert that it stays empty.
        degradations: `(stuck, reason)` of every time the engine was said to be degraded.
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.breaches: list[str] = []
        self.degradations: list[tuple[int, str]] = []
        self._by_demand: dict[int, Answer] = {}
        self._chunks: dict[int, list[Chunk]] = {}
        self._told: dict[int, list[Answer]] = {}
        self._changed: set[asyncio.Future[None]] = set()
        self._events: dict[int, list[tuple[str, dict[str, Any]]]] = {}
        self._congested = False
        self._behind: set[int] = set()

    # DemandSink

    def complete(self, demand: int, node: Target, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        """Write the answer down."""
        self._last(Answer(demand=demand, node=node, outputs=outputs, meta=meta))

    def fail(self, demand: int, node: Target, error: GraphportError) -> None:
        """Write the error down."""
        self._last(Answer(demand=demand, node=node, error=error))

    def output(self, demand: int, node: Target, outputs: dict[str, Any], meta: dict[str, Any], *, alone: bool) -> None:
        """Write down what a watch tells."""
        self._tell(Answer(demand=demand, node=node, outputs=outputs, meta=meta))

    def failed(self, demand: int, node: Target, error: GraphportError, *, alone: bool) -> None:
        """Write down what a watch tells."""
        self._tell(Answer(demand=demand, node=node, error=error))

    def _tell(self, told: Answer) -> None:
        if told.demand in self._by_demand:
            self.breaches.append(f"demand {told.demand}: an output after the last message")
        self._told.setdefault(told.demand, []).append(replace(told, chunks=self.chunks(told.demand)))
        self._wake()

    def chunk(self, demand: int, node: str, port: str, chunk: Any) -> bool:
        """Write the chunk down.

        Raises:
            WireError: `unencodable_value` if the chunk could not travel.
        """
        pack(chunk)
        if demand in self._by_demand:
            self.breaches.append(f"demand {demand}: a chunk of {node}.{port} after the last message")
        self._chunks.setdefault(demand, []).append(Chunk(node=node, port=port, value=chunk))
        self._wake()
        return self.behind(demand)

    def event(self, demand: int, node: str, event: dict[str, Any]) -> None:
        """Write the event down."""
        if demand in self._by_demand:
            self.breaches.append(f"demand {demand}: an event of {node} after the last message")
        self._events.setdefault(demand, []).append((node, event))
        self._wake()

    def degraded(self, stuck: int, reason: str) -> None:
        """Write it down."""
        self.degradations.append((stuck, reason))

    def behind(self, demand: int) -> bool:
        """What `hold` and `release` say."""
        return self._congested or demand in self._behind

    async def caught_up(self, demand: int) -> None:
        """Wait for `release`."""
        await self._change()

    # For tests

    def hold(self, demand: int | None = None) -> None:
        """Play a receiver that has fallen behind, with one demand or altogether."""
        if demand is None:
            self._congested = True
        else:
            self._behind.add(demand)

    def release(self) -> None:
        """Play a receiver that has caught up."""
        self._congested = False
        self._behind.clear()
        self._wake()

    def events(self, demand: int) -> tuple[tuple[str, dict[str, Any]], ...]:
        """What a demand was told of nodes so far."""
        return tuple(self._events.get(demand, ()))

    def chunks(self, demand: int) -> tuple[Chunk, ...]:
        """What was streamed to a demand so far."""
        return tuple(self._chunks.get(demand, ()))

    def get(self, demand: int) -> Answer | None:
        """A demand's last message, if it has come."""
        return self._by_demand.get(demand)

    async def answer(self, demand: int) -> Answer:
        """A demand's last message, as soon as it has come."""
        while demand not in self._by_demand:
            await self._change()
        return self._by_demand[demand]

    def told(self, demand: int) -> list[Answer]:
        """What a watch told so far."""
        return list(self._told.get(demand, ()))

    async def tells(self, demand: int, count: int = 1) -> Answer:
        """What a watch tells at that turn, counted from one, as soon as it has."""
        while len(self._told.get(demand, ())) < count:
            await self._change()
        return self._told[demand][count - 1]

    async def streamed(self, demand: int, count: int = 1) -> tuple[Chunk, ...]:
        """What was streamed to a demand, as soon as it is at least `count` chunks."""
        while len(self._chunks.get(demand, ())) < count:
            await self._change()
        return self.chunks(demand)

    def _last(self, answer: Answer) -> None:
        answer = replace(answer, chunks=self.chunks(answer.demand), events=self.events(answer.demand))
        if answer.demand in self._by_demand:
            self.breaches.append(f"demand {answer.demand}: a second last message")
        self.answers.append(answer)
        self._by_demand[answer.demand] = answer
        self._wake()

    async def _change(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changed.add(future)
        try:
            await future
        finally:
            self._changed.discard(future)

    def _wake(self) -> None:
        for future in self._changed:
            if not future.done():
                future.set_result(None)
        self._changed.clear()
