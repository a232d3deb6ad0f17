"""Edits of sessions, in the order in which they come; what comes for a session behind a long one waits for it.

Edits of a large graph, and long lists of them, are worked out beside the loop, as large graphs are loaded. Must not
know what an edit says. Called by `connection`, on the loop's thread.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Final

from graphport.core.errors import DemandStopped, GraphportError, InternalError
from graphport.demand.ready_queue import TURN_S
from graphport.demand.run import overdue
from graphport.server.faults import fault
from graphport.server.loading import NAMED_MOST
from graphport.wire import messages

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from graphport.demand.evaluator import Evaluator
    from graphport.graph.recompile import Recompiled
    from graphport.server.loading import GraphLoader
    from graphport.server.outbox import Outbox

    _Line = deque[messages.Update | int]

# Nodes and edges of a graph, and edits at a time, that take less than the ten milliseconds which others may be kept
# waiting, also where they are refused.
_SMALL_GRAPH: Final = 1_000
_SMALL_EDITS: Final = 200


class _Held:
    """A demand that waits for an update before it."""

    __slots__ = ("message", "since", "timer")

    def __init__(self, message: messages.DemandAsync, timer: asyncio.TimerHandle | None) -> None:
        self.message = message
        self.since = perf_counter()
        self.timer = timer


class Updates:
    """The updates under way, and what waits for them.

    Args:
        evaluator: has the sessions.
        outbox: takes replies.
        loader: works beside the loop.
        begin: begins a demand that has waited.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        outbox: Outbox,
        loader: GraphLoader,
        begin: Callable[[messages.DemandAsync], None],
    ) -> None:
        self._evaluator = evaluator
        self._outbox = outbox
        self._loader = loader
        self._begin = begin
        # Per session with an update beside the loop, what came behind it: updates, and demands by their number.
        self._lines: dict[int, _Line] = {}
        self._held: dict[int, _Held] = {}

    def update(self, message: messages.Update) -> None:
        """Apply edits, or keep them until those before are applied."""
        line = self._lines.get(message.session)
        if line is not None:
            line.append(message)
        else:
            self._work(message)

    def _work(self, message: messages.Update) -> bool:
        """Apply edits, here or beside the loop; returns whether it is done."""
        try:
            graph = self._evaluator.session(message.session).graph
        except GraphportError as error:
            self._refuse(message, error)
            return True
        source = graph.source
        if len(source.nodes) + len(source.edges) > _SMALL_GRAPH or len(message.edits) > _SMALL_EDITS:
            line = self._lines.setdefault(message.session, deque())
            self._loader.load(
                lambda: self._evaluator.edit(graph, message.edits), lambda edited: self._worked(message, line, edited)
            )
            return False
        try:
            self._apply(message, self._evaluator.edit(graph, message.edits))
        except GraphportError as error:
            self._refuse(message, error)
        return True

    def _refuse(self, message: messages.Update, error: GraphportError) -> None:
        self._outbox.send(messages.error(message.req, fault(error)))

    def _apply(self, message: messages.Update, edited: Recompiled) -> None:
        self._evaluator.update(message.session, edited)
        facts = {
            "revision": edited.graph.revision,
            "dirty": edited.dirty[:NAMED_MOST],
            "dirty_count": len(edited.dirty),
            "nodes": len(edited.graph.nodes),
            "sinks": edited.graph.sinks[:NAMED_MOST],
        }
        self._outbox.send_about(message.req, messages.reply(message.req, facts))

    def _worked(self, message: messages.Update, line: _Line, edited: Recompiled | GraphportError) -> None:
        """Edits have been worked out beside the loop."""
        if self._lines.get(message.session) is not line:  # there may be another session of that number by now
            self._refuse(message, _closed())
            return
        if isinstance(edited, GraphportError):
            self._refuse(message, edited)
        else:
            self._apply(message, edited)
        self._go_on(message.session, line)

    def _go_on(self, session: int, line: _Line) -> None:
        """Take up what waits for a session, for a turn of the loop."""
        if self._lines.get(session) is not line:
            return
        until = perf_counter() + TURN_S
        while line:
            if perf_counter() >= until:
                self._evaluator.loop.call_soon(self._go_on, session, line)
                break
            item = line.popleft()
            if isinstance(item, int):
                self._release(item)
            elif not self._work_safely(item):
                break
        else:
            del self._lines[session]
        self._evaluator.advance()

    def _work_safely(self, message: messages.Update) -> bool:
        try:
            return self._work(message)
        except Exception as error:  # the session's border, as for an update that need not wait
            self._refuse(message, InternalError(f"the update failed: {type(error).__name__}"))
            return True

    # Demands

    def holds(self, demand: int) -> bool:
        """Whether a demand waits here."""
        return demand in self._held

    def is_busy(self, session: int) -> bool:
        """Whether a demand for a session has to wait for an update."""
        return session in self._lines

    def hold(self, message: messages.DemandAsync) -> bool:
        """Keep a demand until the updates before it are applied; returns False if there are none."""
        line = self._lines.get(message.session) if self._lines else None
        if line is None:
            return False
        timer = None
        if message.deadline_ms is not None:
            timer = self._evaluator.loop.call_later(
                message.deadline_ms / 1000, self._end, message.demand, overdue(message.deadline_ms)
            )
        self._held[message.demand] = _Held(message, timer)
        line.append(message.demand)
        return True

    def _release(self, demand: int) -> None:
        held = self._held.pop(demand, None)
        if held is None:
            return  # it was cancelled, or its deadline has passed
        if held.timer is not None:
            held.timer.cancel()
            waited_ms = int((perf_counter() - held.since) * 1000)
            held.message.deadline_ms = max((held.message.deadline_ms or 0) - waited_ms, 0)
        self._begin(held.message)

    def cancel(self, demand: int) -> None:
        """End a demand that waits here. Others are ignored."""
        if self._held:
            self._end(demand, DemandStopped("the demand was cancelled", code="cancelled"))

    def _end(self, demand: int, error: GraphportError) -> None:
        held = self._held.pop(demand, None)
        if held is not None:
            if held.timer is not None:
                held.timer.cancel()
            self._outbox.fail(demand, held.message.node, error)

    def closed(self, session: int) -> None:
        """A session was closed: what waits for it is refused, and what is worked out will be."""
        for item in self._lines.pop(session, ()):
            if isinstance(item, int):
                self._end(item, _closed())
            else:
                self._refuse(item, _closed())


def _closed() -> DemandStopped:
    return DemandStopped("the session was closed", code="cancelled")
