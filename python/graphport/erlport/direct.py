"""Demands of apps that call ErlPort themselves: requests in, tuples to the asking pids out.

Flow control is ErlPort's, that is none towards the BEAM: nodes that stream are only held back while the pipe is full.
Called by `calls`; everything but `Door.hand_over` runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.sink import PlainAnswers
from graphport.core.errors import GraphportError, InternalError, LookupFailed, WireError
from graphport.server.faults import fault
from graphport.server.handover import SendingThread
from graphport.server.outbox import CONGESTED_BYTES
from graphport.server.waiters import Waiters
from graphport.wire.codec import pack
from graphport.wire.limits import MAX_VALUE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.app.engine import Composition
    from graphport.demand.evaluator import Evaluator
    from graphport.erlport.library import Library
    from graphport.wire import messages

    Target = str | list[str]

_log = logging.getLogger("graphport.erlport")
# What a term takes beside its payload, about.
_TERM_BYTES: Final = 64


@dataclass(slots=True)
class _Asker:
    """Who asked, under which name of their own, and the first streaming port seen of each node."""

    pid: Any
    name: int | str | None
    ports: dict[str, str] = field(default_factory=dict)


class Door(PlainAnswers):
    """One engine's direct use. The evaluator's sink (see `contracts.sink.DemandSink`)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, library: Library, composition: Composition) -> None:
        self._loop = loop
        self._atom = library.atom
        self._waiters = Waiters()
        self._sender: SendingThread[tuple[Any, Any]] = SendingThread(loop, lambda item: library.erlang.cast(*item))
        self._sender.on_room = self._waiters.wake
        self._sender.on_end = self.end
        self._composition = composition
        self._ended = asyncio.Event()
        self._evaluator: Evaluator | None = None
        self._numbers = count(1)
        self._askers: dict[int, _Asker] = {}
        self._named: dict[int | str, int] = {}

    async def run(self, started: Callable[[GraphportError | None], None]) -> int:
        """Live until `end`. `started` is told, once, whether the engine could be made."""
        try:
            self._evaluator = self._composition.start(self, {})
        except GraphportError as error:
            started(error)
            return 0
        except (Exception, SystemExit) as error:  # whatever the user's modules do while they are imported
            _log.exception("the engine could not be set up")
            text = f"the engine could not be set up: {type(error).__name__}"
            started(LookupFailed(text, code="invalid_nodes"))
            return 0
        started(None)
        await self._ended.wait()
        await self._evaluator.close()
        await self._composition.stop()
        return 0

    def end(self) -> None:
        """Make `run` return."""
        self._ended.set()

    # Requests

    def hand_over(self, request: Callable[..., None], *arguments: Any) -> None:
        """Have a request carried out on the loop. From any thread."""
        self._loop.call_soon_threadsafe(self._carry_out, request, *arguments)

    def _carry_out(self, request: Callable[..., None], *arguments: Any) -> None:
        try:
            request(*arguments)
        except Exception:  # the session's border, as in `Connection`
            _log.exception("a request could not be handled")
        assert self._evaluator is not None
        self._evaluator.advance()

    def open(self, pid: Any, message: messages.Open) -> None:
        """Load a graph; answers `open_complete` or `open_error`."""
        assert self._evaluator is not None
        try:
            graph = self._evaluator.open(message.session, message.graph).graph
        except GraphportError as error:
            self._send(pid, "open_error", message.session, pack(fault(error)))
            return
        facts = {"revision": graph.revision, "nodes": len(graph.nodes), "sinks": graph.sinks[:1_000]}
        self._send(pid, "open_complete", message.session, pack(facts))

    def close(self, session: int) -> None:
        """Forget a session; one that is not open is ignored."""
        assert self._evaluator is not None
        try:
            self._evaluator.close_session(session)
        except LookupFailed:
            _log.info("session %d was not open", session)

    def demand(self, pid: Any, name: int | str | None, asked: messages.DemandAsync) -> None:
        """Start a demand for a pid, which may name it to cancel it."""
        assert self._evaluator is not None
        if name in self._named:
            error = LookupFailed(f"demand {name!r} is open already", code="duplicate_id")
            self._send(pid, "demand_error", _named(asked.node), pack(fault(error)))
            return
        number = next(self._numbers)
        self._askers[number] = _Asker(pid, name)
        if name is not None:
            self._named[name] = number
        try:
            self._evaluator.demand(
                number,
                asked.session,
                asked.node,
                asked.inputs,
                asked.deadline_ms,
                asked.stream,
                asked.fresh,
                asked.events,
            )
        except Exception:  # the asker must hear something
            _log.exception("a demand could not be started")
            self._evaluator.abandon(number)
            self.fail(number, asked.node, InternalError("the engine failed at this demand; its log says where"))

    def cancel(self, name: int | str) -> None:
        """Stop the demand of that name, if it is open."""
        assert self._evaluator is not None
        number = self._named.get(name)
        if number is not None:
            self._evaluator.cancel(number)

    # DemandSink

    def complete(self, demand: int, node: Target, outputs: dict[str, Any], _meta: dict[str, Any]) -> None:
        """See `DemandSink.complete`."""
        try:
            packed = pack(outputs)
            if len(packed) > MAX_VALUE_BYTES:
                text = f"the outputs take {len(packed)} bytes, at most {MAX_VALUE_BYTES} travel"
                raise WireError(text, code="too_large")
        except WireError as error:
            self.fail(demand, node, error)
            return
        self._last(demand, "demand_complete", node, packed)

    def fail(self, demand: int, node: Target, error: GraphportError) -> None:
        """See `DemandSink.fail`."""
        self._last(demand, "demand_error", node, pack(fault(error)))

    def _last(self, demand: int, word: str, node: Target, packed: bytes) -> None:
        asker = self._askers.pop(demand, None)
        if asker is None:
            return
        if asker.name is not None:
            del self._named[asker.name]
        self._send(asker.pid, word, _named(node), packed)

    def chunk(self, demand: int, node: str, port: str, chunk: Any) -> bool:
        """See `DemandSink.chunk`. Only the first streaming port of a node is sent, as in the Elixir library."""
        packed = pack(chunk)
        asker = self._askers.get(demand)
        if asker is not None and asker.ports.setdefault(node, port) == port:
            self._send(asker.pid, "node_stream", node.encode(), packed)
        return self.behind(demand)

    def event(self, demand: int, node: str, event: dict[str, Any]) -> None:
        """See `DemandSink.event`."""
        asker = self._askers.get(demand)
        if asker is not None:
            self._send(asker.pid, "node_event", node.encode(), pack(event))

    def behind(self, _demand: int) -> bool:
        """See `DemandSink.behind`."""
        return self._sender.backlog > CONGESTED_BYTES

    async def caught_up(self, demand: int) -> None:
        """See `DemandSink.caught_up`."""
        if self.behind(demand):
            await self._waiters.wait()

    def _send(self, pid: Any, word: str, about: Any, packed: bytes) -> None:
        self._sender.put((pid, (self._atom(word), about, packed)), len(packed) + _TERM_BYTES)


def _named(node: Target) -> Any:
    return node.encode() if isinstance(node, str) else [one.encode() for one in node]
