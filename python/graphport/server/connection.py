"""The conversation with the BEAM: handshake, then messages in, credits back, until the pipe ends.

Holds no graph and no result. Made by `server.serve`; calls the evaluator, answers through the outbox.
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import DemandStopped, GraphportError, InternalError, LookupFailed, WireError
from graphport.core.version import VERSION
from graphport.demand import answers
from graphport.server import queries
from graphport.server.answering import Answering
from graphport.server.faults import fault
from graphport.server.graph_queries import Later, Packed
from graphport.server.host_calls import HostCalls
from graphport.server.loading import NAMED_MOST, GraphLoader, is_small
from graphport.server.repeats import Repeats
from graphport.server.updating import Updates
from graphport.wire import messages
from graphport.wire.framing import FrameSplitter
from graphport.wire.limits import (
    CREDIT_EVERY_BYTES,
    CREDIT_EVERY_FRAMES,
    FIRST_CALL,
    MAX_FRAME_BYTES,
    MAX_VALUE_BYTES,
    PROTOCOL_VERSION,
)
from graphport.wire.parse import parse_frame
from graphport.wire.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.demand.evaluator import Evaluator
    from graphport.server.loading import Loaded
    from graphport.server.outbox import Outbox

EXIT_CLEAN: Final = 0
EXIT_PROTOCOL: Final = 65
EXIT_NODES: Final = 66
EXIT_FAILED: Final = 70

# What may come in parts.
_LONG: Final = (
    messages.DemandAsync,
    messages.Open,
    messages.Update,
    messages.Query,
    messages.Decide,
    messages.HostReply,
    messages.HostStream,
    messages.Malformed,
)

_FAILED: Final = "the engine failed at this message; its log says where"

_log = logging.getLogger("graphport.connection")


class Connection:
    """One pipe's conversation.

    Args:
        outbox: the way out.
        start: called at `hello` with its options; returns the evaluator, or raises what is wrong with the set-up.
        end: called once with the exit status when the conversation is over.
    """

    def __init__(
        self,
        outbox: Outbox,
        start: Callable[[dict[str, Any]], Evaluator],
        end: Callable[[int], None],
    ) -> None:
        self._outbox = outbox
        self._start = start
        self._end = end
        self._splitter = FrameSplitter()
        self._transfers = Transfers()
        self._loader = GraphLoader()
        self._answering = Answering()
        self._host_calls = HostCalls(outbox)
        # Sessions whose graph is being loaded, and whether it is still wanted.
        self._loading: dict[int, bool] = {}
        self._evaluator: Evaluator | None = None
        self._updates: Updates | None = None
        self._repeats: Repeats | None = None
        self._over = False
        self._frames = self._bytes = 0
        self._credited_frames = self._credited_bytes = 0
        self._handlers: dict[type, Callable[[Any], None]] = {
            messages.DemandAsync: self._demand,
            messages.Cancel: self._cancel,
            messages.Grant: self._grant,
            messages.Hold: self._hold,
            messages.Decide: self._decide,
            messages.HostReply: self._host_reply,
            messages.HostStream: self._host_calls.streamed,
            messages.HostProgress: self._host_calls.progressed,
            messages.Query: self._query,
            messages.Part: self._part,
            messages.Open: self._open,
            messages.Update: self._update,
            messages.Close: self._close,
            messages.Ping: self._ping,
            messages.Credit: self._credit,
            messages.Malformed: self._malformed,
            messages.Hello: self._second_hello,
        }

    def received(self, data: bytes) -> None:
        """Bytes have come: handle every whole frame, carry demands on, send answers."""
        if self._over:
            return
        self._outbox.hold()
        try:
            self._read(data)
            if (
                self._frames - self._credited_frames >= CREDIT_EVERY_FRAMES
                or self._bytes - self._credited_bytes >= CREDIT_EVERY_BYTES
            ):
                self._send_credit()
            if self._evaluator is not None and not self._over:
                self._evaluator.advance()
        except WireError as error:
            self._refuse(error, EXIT_PROTOCOL)
        except Exception as error:  # out of memory, say: what was read would be lost, and who waits for it never told
            _log.exception("what came could not be handled")
            self.give_up(f"the engine failed at what it was sent: {type(error).__name__}")
        finally:
            self._outbox.flush()

    def _read(self, data: bytes) -> None:
        for payload in self._splitter.feed(data):
            self._frames += 1
            self._bytes += len(payload)
            if self._over:
                return
            if self._repeats is not None and self._repeats.answer(payload):
                continue
            parsed = parse_frame(payload)
            for message in parsed:
                if self._over:
                    return
                if self._evaluator is None:
                    self._greet(message)
                else:
                    self._handle(message)
            if self._repeats is not None and len(parsed) == 1:
                self._repeats.note(payload, parsed[0])

    def give_up(self, reason: str) -> None:
        """Say why the engine ends, now."""
        if not self._over:
            self._refuse(InternalError(reason), EXIT_FAILED)

    def ended(self) -> None:
        """The pipe has come to its end."""
        if not self._over:
            self._over = True
            self._end(EXIT_CLEAN)

    def _refuse(self, error: GraphportError, status: int) -> None:
        self._over = True
        try:
            self._outbox.flush()
        finally:
            self._outbox.send_last(messages.error(None, fault(error)))
        self._end(status)

    def _greet(self, message: messages.Message) -> None:
        if message.__class__ is not messages.Hello:
            text = "the first message must be hello"
            if isinstance(message, messages.Malformed):
                text = f"{text}; {message.error.message}"
            self._refuse(WireError(text, code="protocol_mismatch"), EXIT_PROTOCOL)
            return
        if message.protocol != PROTOCOL_VERSION:
            text = (
                f"the client speaks protocol {message.protocol}, "
                f"this engine (graphport {VERSION}) speaks {PROTOCOL_VERSION}; install matching versions"
            )
            self._refuse(WireError(text, code="protocol_mismatch"), EXIT_PROTOCOL)
            return
        try:
            evaluator = self._evaluator = self._start(message.options)
            evaluator.host = self._host_calls
            updates = Updates(evaluator, self._outbox, self._loader, lambda held: self._safely(self._begin, held))
            self._updates = updates
            self._repeats = Repeats(evaluator, self._is_open, updates.is_busy)
        except GraphportError as error:
            self._refuse(error, EXIT_NODES)
            return
        except (Exception, SystemExit) as error:  # whatever the user's modules do while they are imported
            _log.exception("the engine could not be set up")
            text = f"the engine could not be set up: {type(error).__name__}"
            self._refuse(LookupFailed(text, code="invalid_nodes"), EXIT_NODES)
            return
        facts = {
            "protocol": PROTOCOL_VERSION,
            "version": VERSION,
            "os_pid": os.getpid(),
            "python": platform.python_version(),
            "max_frame_bytes": MAX_FRAME_BYTES,
            "max_value_bytes": MAX_VALUE_BYTES,
        }
        self._outbox.send(messages.ready(facts))

    def _handle(self, message: messages.Message) -> None:
        self._safely(self._handlers[message.__class__], message)

    def _safely(self, handler: Callable[[Any], None], message: messages.Message) -> None:
        try:
            handler(message)
        except Exception:  # the session's border: a fault of ours must not end the engine
            _log.exception("a %s message could not be handled", type(message).__name__)
            self._apologise(message)

    def _apologise(self, message: messages.Message) -> None:
        error = fault(InternalError(_FAILED))
        if isinstance(message, messages.DemandAsync):
            if self._evaluator is not None:
                self._evaluator.abandon(message.demand)
            self._outbox.fail(message.demand, message.node, InternalError(_FAILED))
        elif isinstance(message, messages.Open | messages.Update | messages.Close | messages.Query | messages.Decide):
            self._outbox.send(messages.error(message.req, error))

    # Messages. `_evaluator` is set by the time any of these is called.

    def _demand(self, message: messages.DemandAsync) -> None:
        if self._is_open(message.demand):
            error = LookupFailed(f"demand {message.demand} is open already", code="duplicate_id")
            self._outbox.send(messages.error(None, fault(error)))
            return
        if message.window is not None:
            self._outbox.open_window(message.demand, message.window)
        if not self._updates.hold(message):  # type: ignore[union-attr]
            self._begin(message)

    def _is_open(self, demand: int) -> bool:
        return (
            demand in self._evaluator.runs  # type: ignore[union-attr]
            or demand in self._evaluator.watches  # type: ignore[union-attr]
            or self._outbox.holds(demand)
            or self._updates.holds(demand)  # type: ignore[union-attr]
        )

    def _begin(self, message: messages.DemandAsync) -> None:
        self._evaluator.demand(  # type: ignore[union-attr]
            message.demand,
            message.session,
            message.node,
            message.inputs,
            message.deadline_ms,
            message.stream,
            message.fresh,
            message.events,
            message.trace,
            message.provenance,
            message.watch,
            message.wait,
        )

    def _cancel(self, message: messages.Cancel) -> None:
        if message.demand >= FIRST_CALL:
            self._transfers.forget(message.demand)
            self._host_calls.failed(message.demand, InternalError("the BEAM has lost the call"))
            return
        is_open = self._is_open(message.demand)
        self._updates.cancel(message.demand)  # type: ignore[union-attr]
        self._evaluator.cancel(message.demand)  # type: ignore[union-attr]
        self._outbox.cancel(message.demand)
        if self._transfers.forget(message.demand) and not is_open:
            stopped = DemandStopped("the demand was cancelled", code="cancelled")
            self._outbox.fail(message.demand, "", stopped)

    def _grant(self, message: messages.Grant) -> None:
        self._outbox.grant(message.demand, message.chunks)

    def _hold(self, message: messages.Hold) -> None:
        if not message.shut:
            self._outbox.reopen(message.demand)
        elif message.demand in self._evaluator.runs or message.demand in self._evaluator.watches:  # type: ignore[union-attr]
            self._outbox.shut(message.demand)

    def _decide(self, message: messages.Decide) -> None:
        try:
            resumed = self._evaluator.answer(message.session, message.node, message.answer)  # type: ignore[union-attr]
        except GraphportError as error:
            self._outbox.send(messages.error(message.req, fault(error)))
            return
        self._outbox.send(messages.reply(message.req, {"resumed": resumed}))

    def _host_reply(self, message: messages.HostReply) -> None:
        self._transfers.forget(message.call)  # a chunk that its node could not send to the end
        self._host_calls.replied(message)

    def _part(self, message: messages.Part) -> None:
        if message.transfer >= FIRST_CALL and message.transfer not in self._host_calls:
            self._transfers.forget(message.transfer)
            return
        try:
            payload = self._transfers.take(message)
            if payload is None:
                return
            whole = parse_frame(payload)
            if len(whole) != 1 or not isinstance(whole[0], _LONG):
                raise WireError("parts of a message that does not travel in parts")
        except GraphportError as error:
            if message.transfer >= FIRST_CALL:
                self._host_calls.failed(message.transfer, error)
            else:
                self._outbox.fail(message.transfer, "", error)
            return
        self._handle(whole[0])

    def _query(self, message: messages.Query) -> None:
        try:
            result = queries.answer(self._evaluator, message.what, message.args)  # type: ignore[arg-type]
        except GraphportError as error:
            result = error
        if isinstance(result, Generator):
            self._answering.add(result, lambda answer: self._answered(message.req, answer))
        elif isinstance(result, Later):
            self._loader.load(lambda: result.reply(message.req), lambda packed: self._answered(message.req, packed))
        else:
            self._answered(message.req, result)

    def _answered(self, req: int, result: Any) -> None:
        if self._over:
            return
        if isinstance(result, GraphportError):
            self._outbox.send(messages.error(req, fault(result)))
        else:
            self._outbox.send_about(req, result if type(result) is Packed else messages.reply(req, result))

    def _open(self, message: messages.Open) -> None:
        evaluator: Evaluator = self._evaluator  # type: ignore[assignment]
        revision = message.options.get("revision", 1)
        if message.session in evaluator.sessions or message.session in self._loading:
            error = LookupFailed(f"session {message.session} is open already", code="duplicate_id")
            self._outbox.send(messages.error(message.req, fault(error)))
        elif is_small(message.graph):
            try:
                self._opened(message, evaluator.load(message.graph, revision))
            except GraphportError as error:
                self._opened(message, error)
        else:
            self._loading[message.session] = True
            self._loader.load(
                lambda: evaluator.load(message.graph, revision), lambda loaded: self._loaded(message, loaded)
            )

    def _loaded(self, message: messages.Open, loaded: Loaded) -> None:
        """A graph has been loaded beside the loop."""
        if not self._loading.pop(message.session):
            loaded = DemandStopped("the session was closed while its graph was loaded", code="cancelled")
        self._opened(message, loaded)

    def _update(self, message: messages.Update) -> None:
        self._updates.update(message)  # type: ignore[union-attr]

    def _opened(self, message: messages.Open, loaded: Loaded) -> None:
        if isinstance(loaded, GraphportError):
            self._outbox.send(messages.error(message.req, fault(loaded)))
            return
        session = self._evaluator.add(message.session, loaded)  # type: ignore[union-attr]
        answers.restore(session, message.options.get("answers", {}))
        facts = {"revision": loaded.revision, "nodes": len(loaded.nodes), "sinks": loaded.sinks[:NAMED_MOST]}
        self._outbox.send_about(message.req, messages.reply(message.req, facts))

    def _close(self, message: messages.Close) -> None:
        if message.session in self._loading:
            self._loading[message.session] = False
            self._outbox.send(messages.reply(message.req, None))
            return
        try:
            self._evaluator.close_session(message.session)  # type: ignore[union-attr]
        except GraphportError as error:
            self._outbox.send(messages.error(message.req, fault(error)))
            return
        self._updates.closed(message.session)  # type: ignore[union-attr]
        self._outbox.send(messages.reply(message.req, None))

    def _ping(self, message: messages.Ping) -> None:
        self._send_credit()
        self._outbox.send(messages.pong(message.token))

    def _credit(self, message: messages.Credit) -> None:
        self._outbox.credited(message.bytes)

    def _malformed(self, message: messages.Malformed) -> None:
        if message.call is not None and message.call in self._host_calls:
            self._host_calls.failed(message.call, message.error)
            return
        if message.demand is not None:
            demand, node = message.demand
            if not (self._evaluator is not None and self._is_open(demand)):
                self._outbox.fail(demand, node, message.error)
                return
        self._outbox.send(messages.error(message.req, fault(message.error)))

    def _second_hello(self, message: messages.Hello) -> None:
        self._outbox.send(messages.error(None, fault(WireError("hello was said before"))))

    def _send_credit(self) -> None:
        self._credited_frames, self._credited_bytes = self._frames, self._bytes
        self._outbox.send(messages.credit(self._frames, self._bytes))
