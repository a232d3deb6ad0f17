"""Calls to nodes that the BEAM runs: each goes out as `host_call`, and its chunks and its reply come back here.

A chunk is answered by `host_more` once the node's listeners have taken it, so a host sends no faster than they read.
Must not know demands. Is the evaluator's `HostCaller`; told by `connection` what has come. On the loop's thread only.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import CODES, GraphportError, NodeError, WireError
from graphport.server.waiters import Waiters
from graphport.wire import messages
from graphport.wire.limits import FIRST_CALL, HOST_WINDOW_CHUNKS, MAX_VALUE_BYTES

if TYPE_CHECKING:
    from graphport.contracts.run_context import RunContext
    from graphport.server.outbox import Outbox

# Chunks taken between two `host_more`, where more wait.
_MORE_EVERY: Final = HOST_WINDOW_CHUNKS // 2


class _Call:
    """One call under way.

    Attributes:
        arrived: chunks, then the reply or an error, that the node has not taken yet.
        window: chunks that the host may send still.
    """

    __slots__ = ("arrived", "context", "waiters", "window")

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.arrived: deque[messages.HostStream | messages.HostReply | GraphportError] = deque()
        self.waiters = Waiters()
        self.window = HOST_WINDOW_CHUNKS

    def put(self, what: messages.HostStream | messages.HostReply | GraphportError) -> None:
        self.arrived.append(what)
        self.waiters.wake()


class HostCalls:
    """The calls of one pipe. See `contracts.host.HostCaller` for what the evaluator uses of it."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._calls: dict[int, _Call] = {}
        self._next = FIRST_CALL

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, number: int) -> bool:
        return number in self._calls

    async def call(self, demand: int, inputs: dict[str, Any], context: RunContext) -> dict[str, Any]:
        """See `HostCaller.call`."""
        number = self._next
        packed = messages.host_call(number, demand, context.node_id, context.node_type, inputs)
        if len(packed) > MAX_VALUE_BYTES:
            raise WireError(
                f"the inputs take {len(packed)} bytes; at most {MAX_VALUE_BYTES} travel to the host", code="too_large"
            )
        self._next += 1
        call = self._calls[number] = _Call(context)
        self._outbox.send_about(number, packed)
        try:
            return _outputs(await self._reply(number, call), context)
        finally:
            del self._calls[number]

    async def _reply(self, number: int, call: _Call) -> messages.HostReply:
        """Hand chunks on until the reply comes. Whatever else ends this ends the host's work too."""
        taken = 0
        try:
            while True:
                while not call.arrived:
                    await call.waiters.wait()
                what = call.arrived.popleft()
                if isinstance(what, messages.HostReply):
                    return what
                if isinstance(what, GraphportError):
                    raise what
                await call.context.stream(what.port, what.chunk)
                taken += 1
                if taken >= _MORE_EVERY or not call.arrived:
                    call.window += taken
                    self._outbox.send(messages.host_more(number, taken))
                    taken = 0
        except BaseException:
            self._outbox.drop(number)
            self._outbox.send(messages.host_cancel(number))
            raise

    # What has come. Of calls that are over it is ignored.

    def replied(self, message: messages.HostReply) -> None:
        """The host's answer, or why there is none."""
        call = self._calls.get(message.call)
        if call is not None:
            call.put(message)

    def streamed(self, message: messages.HostStream) -> None:
        """A chunk."""
        call = self._calls.get(message.call)
        if call is None:
            return
        call.window -= 1
        if call.window < 0:
            text = f"the host sent more than {HOST_WINDOW_CHUNKS} chunks before they were taken"
            self.failed(message.call, WireError(text))
        else:
            call.put(message)

    def progressed(self, message: messages.HostProgress) -> None:
        """How far the node says it is."""
        call = self._calls.get(message.call)
        if call is not None:
            call.context.progress(message.fraction, message.text)

    def failed(self, number: int, error: GraphportError) -> None:
        """What the host sent of a call cannot be taken."""
        call = self._calls.get(number)
        if call is not None:
            call.arrived.clear()
            call.put(error)


def _outputs(reply: messages.HostReply, context: RunContext) -> dict[str, Any]:
    value = reply.value
    if not reply.ok:
        raise _error(value)
    if type(value) is not dict:
        raise NodeError(
            f"node {context.node_id!r} ({context.node_type}) was answered with {type(value).__name__}; "
            "expected a map of its outputs",
            code="host_node_failed",
        )
    return value


def _error(value: Any) -> NodeError:
    """The host's error. Fields of a wrong type are left out: an error must never fail."""
    facts = value if isinstance(value, dict) else {}

    def field(name: str, kind: type) -> Any:
        found = facts.get(name)
        return found if type(found) is kind else None

    code = field("code", str)
    return NodeError(
        field("message", str) or "the host says that the node failed, and not why",
        code=code if code in CODES else "host_node_failed",
        exception_name=field("exception", str),
        traceback_text=field("traceback", str),
        retry_after_ms=field("retry_after_ms", int),
        details=field("details", dict),
    )
