"""One execution of an `async` or `thread` node, for however many runs wait for it.

Runs with the same key join it; when the last one leaves it is cancelled, and from that moment nobody joins it any more.
Made and carried by `evaluator`; the handler sees it only through its context.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import DemandStopped, GraphportError
from graphport.demand.context import LoopContext, ThreadContext
from graphport.demand.outputs import checked, failure
from graphport.graph.compile import THREAD
from graphport.graph.values import size_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Generator

    from graphport.demand.evaluator import Evaluator
    from graphport.demand.run import Run
    from graphport.graph.compile import CompiledNode

# What a node streams is remembered, for those who join and for the cache, up to so many bytes; and what all nodes under
# way have streamed, up to so many together, of which everyone has a little.
_REMEMBERED_BYTES: Final = 67_108_864
_ALL_REMEMBERED_BYTES: Final = 134_217_728
_OWN_SHARE_BYTES: Final = 1_048_576
# Pieces of text are joined to pieces of at least so many characters, which whoever receives them shares.
_PIECE_CHARACTERS: Final = 65_536


class Suspended:
    """The rest of a coroutine that was begun by hand, in the task that now awaits it."""

    __slots__ = ("_coroutine", "_first")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], first: Any) -> None:
        self._coroutine = coroutine
        self._first = first

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine, yielded = self._coroutine, self._first
        while True:
            raised: BaseException | None = None
            try:
                received = yield yielded
            except BaseException as told:  # a cancel reaches the node where it waits, like all its task is told
                raised = told
            try:
                yielded = coroutine.send(received) if raised is None else coroutine.throw(raised)
            except StopIteration as done:
                return done.value


class Flight:
    """An execution under way.

    Attributes:
        key: what other runs join it by.
        waiters: `(run, place)` of those who get the result.
        store: the result may be kept.
        rest: what is left of an async node that has suspended.
        cancelled: nobody wants it any more; nodes may look at this from any thread.
        task: the task that carries an async node while it does.
        begun: a thread has taken it up.
        inputs: of a thread node that no thread has taken up.
    """

    __slots__ = (
        "_chunks",
        "_chunks_bytes",
        "_evaluator",
        "_timer",
        "begun",
        "cancelled",
        "context",
        "inputs",
        "key",
        "node",
        "over",
        "rest",
        "store",
        "task",
        "waiters",
    )

    def __init__(self, evaluator: Evaluator, node: CompiledNode, key: bytes, *, store: bool) -> None:
        self._evaluator = evaluator
        self.node = node
        self.key = key
        self.store = store
        self.waiters: list[tuple[Run, int]] = []
        self.cancelled = self.over = self.begun = False
        self.inputs: dict[str, Any] | None = None
        self.task: asyncio.Task[Any] | None = None
        self.rest: Suspended | None = None
        kind = ThreadContext if node.execution == THREAD else LoopContext
        self.context = kind(evaluator, node, self)
        self._chunks: list[tuple[Any, Any]] | None = None
        self._chunks_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        if node.timeout_s is not None:
            self._timer = evaluator.loop.call_later(node.timeout_s, self._time_out)

    def join(self, run: Run, place: int) -> None:
        """Wait for the result; what was streamed so far is given first."""
        self.waiters.append((run, place))
        run.flights.append(self)
        if self._chunks:
            self._chunks = joined(self._chunks)
            run.replay(place, self._chunks.copy())

    def leave(self, run: Run) -> None:
        """Stop waiting. The last to leave cancels the execution."""
        self.waiters = [waiter for waiter in self.waiters if waiter[0] is not run]
        if not self.waiters and not self.over:
            self._abandon()

    def emit(self, port: str, chunk: Any) -> bool:
        """Give a chunk to everyone who waits and remember it for those who come later.

        Returns:
            Whether one of them is so far behind that the node should wait: `caught_up`.
        """
        if self.over:
            return False
        self.node.stats.chunks += 1
        behind = False
        for run, place in self.waiters:
            if run.chunk(place, port, chunk):
                behind = True
        if self.store:
            self._remember(port, chunk)
        return behind

    def emit_from_thread(self, port: str, chunk: Any) -> Coroutine[Any, Any, None] | None:
        """`emit` for a thread that does not wait to learn of it: a chunk that cannot travel fails the node.

        Returns:
            What to await before the thread may send more, if the receiver is behind.
        """
        try:
            behind = self.emit(port, chunk)
        except BaseException as error:  # a chunk is foreign code
            self.fail(failure(self.node, error))
            self._stop_work()
            behind = False
        return self.caught_up() if behind else None

    def _run_behind(self) -> Run | None:
        for run, place in self.waiters:
            if run.listens(place) and run.sink.behind(run.demand):
                return run
        return None

    async def caught_up(self) -> None:
        """Wait until no demand is far behind."""
        while (run := self._run_behind()) is not None:
            await run.sink.caught_up(run.demand)

    def progress(self, fraction: float | None, text: str) -> None:
        """Tell everyone who waits how far the node says it is."""
        for run, place in self.waiters:
            run.progress(place, {"event": "progress", "fraction": fraction, "text": text})

    def _remember(self, port: str | tuple[str, str], chunk: Any) -> None:
        if type(chunk) is str and not chunk:
            return  # nobody is sent it
        if self._chunks is None:
            self._chunks = []
        self._chunks.append((port, chunk))
        size = size_of(chunk)
        self._chunks_bytes += size
        self._evaluator.remembered_bytes += size
        if self._chunks_bytes > _REMEMBERED_BYTES or (
            self._chunks_bytes > _OWN_SHARE_BYTES and self._evaluator.remembered_bytes > _ALL_REMEMBERED_BYTES
        ):
            # From here on nobody can be given the whole, so nobody joins, and the result is not kept.
            self.store = False
            self._forget_chunks()
            self._evaluator.land(self)

    def remember_inner(self, path: str, port: str, chunk: Any) -> None:
        """Remember what a node of a graph within the node has streamed."""
        if self.store and not self.over:
            self._remember((path, port), chunk)

    def _forget_chunks(self) -> None:
        self._chunks = None
        self._evaluator.remembered_bytes -= self._chunks_bytes
        self._chunks_bytes = 0

    def call(self, inputs: dict[str, Any]) -> Callable[[], None]:
        """Run a `thread` node on the calling thread; returns what delivers the result, to be called on the loop."""
        began = perf_counter()
        try:
            outputs = self.node.handler(inputs, self.context)
        except BaseException as raised:  # a thread of ours must outlive whatever a node raises
            error = failure(self.node, raised)
            return lambda: self.fail(error)

        def deliver() -> None:
            # With the way back to the loop, which for a node on a thread is part of its cost.
            self.node.stats.add(1, began)
            self.succeed(outputs)

        return deliver

    def succeed(self, returned: Any) -> None:
        """The node returned. Checks, remembers and hands on the outputs."""
        if self.over:
            return
        names = self.node.output_names
        if returned.__class__ is not dict or returned.keys() != names:
            try:
                returned = checked(self.node, returned)
            except BaseException as raised:
                self.fail(failure(self.node, raised))
                return
        chunks = self._chunks
        self._end()
        if self.store:
            chunks = joined(chunks) if chunks else None
            self._evaluator.memo.put(self.key, returned, chunks)
            if self.node.policy is not None or self._evaluator.stored is not None:
                self._evaluator.keeping.kept(self.node, self.key, returned, chunks)
        waiters, self.waiters = self.waiters, []
        for run, place in waiters:
            if self in run.flights:
                run.flights.remove(self)
            run.settle(place, returned)

    def fail(self, error: GraphportError) -> None:
        """The node raised, or was stopped: everyone who waits fails."""
        if self.over:
            return
        self.node.stats.failures += 1
        self._end()
        waiters, self.waiters = self.waiters, []
        for run, place in waiters:
            if self in run.flights:
                run.flights.remove(self)
            run.failed(place, error)

    def _time_out(self) -> None:
        limit_ms = self.node.type.spec.timeout_ms
        self.fail(
            DemandStopped(
                f"node {self.node.id!r} took longer than its limit of {limit_ms} ms",
                code="deadline_exceeded",
                node_id=self.node.id,
            )
        )
        self._stop_work()

    def _abandon(self) -> None:
        self._end()
        self._stop_work()

    def _end(self) -> None:
        self.over = True
        self._forget_chunks()  # the node's context may keep the flight alive for long
        self._evaluator.land(self)
        if self._timer is not None:
            self._timer.cancel()

    def _stop_work(self) -> None:
        self.cancelled = True
        self.inputs = None
        if self.task is not None:
            self.task.cancel()
            self._evaluator.stuck.watch(self)
        elif self.node.execution == THREAD:
            self._evaluator.stuck.watch(self)


def joined(chunks: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Chunks with neighbouring text of one port joined, to pieces of `_PIECE_CHARACTERS` or a little more."""
    result: list[tuple[Any, Any]] = []
    texts: list[str] = []
    characters = 0
    for port, chunk in chunks:
        if type(chunk) is str and texts and result[-1][0] == port and characters < _PIECE_CHARACTERS:
            texts.append(chunk)
            characters += len(chunk)
            continue
        if texts:
            result[-1] = (result[-1][0], "".join(texts))
        is_text = type(chunk) is str
        texts, characters = ([chunk], len(chunk)) if is_text else ([], 0)
        result.append((port, chunk))
    if texts:
        result[-1] = (result[-1][0], "".join(texts))
    return result
