"""Everything the engine sends: packs messages, joins them into frames once per wake-up, keeps to the BEAM's window.

While the window is shut, text chunks of one stream are joined; nothing is dropped and the order within a demand stays.
Is the evaluator's sink. Called by `connection`, `logs` and the evaluator, on the loop's thread only.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import GraphportError, WireError
from graphport.wire import messages
from graphport.wire.framing import join, lone
from graphport.wire.limits import MAX_FRAME_BYTES, READ_WINDOW_BYTES

if TYPE_CHECKING:
    import asyncio

    from graphport.server.transport import Transport

# Streaming nodes are held back while more than this waits here.
CONGESTED_BYTES: Final = 4_194_304
# Text is joined up to this many characters, so that a joined chunk stays far below a frame.
_JOINED_CHARACTERS: Final = 65_536
# Room for a message's own words beside its payload, and for the head of a batch.
_FRAME_ROOM: Final = 16
_LARGEST_TEXT: Final = 100_000
_SHOWN_NAME: Final = 1_000


class _Text:
    """Text of one stream that waits for the window."""

    __slots__ = ("characters", "demand", "node", "parts", "port")

    def __init__(self, demand: int, node: str, port: str, chunk: str) -> None:
        self.demand, self.node, self.port = demand, node, port
        self.parts = [chunk]
        self.characters = len(chunk)

    def pack(self) -> bytes:
        return messages.node_stream(self.demand, self.node, self.port, "".join(self.parts))


class Outbox:
    """The way out. See `contracts.sink.DemandSink` for what the evaluator uses of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._queue: deque[bytes | _Text] = deque()
        self._queued_bytes = 0
        # The text per demand that more may still be joined to, and how many texts wait in the queue altogether.
        self._last_text: dict[int, _Text] = {}
        self._texts = 0
        self._sent_bytes = 0
        self._read_by_beam = 0
        self._flush_planned = False
        self._waiters: list[asyncio.Future[None]] = []
        transport.on_room(self.flush)

    # Control

    def send(self, packed: bytes) -> None:
        """Queue a packed message."""
        self._queue.append(packed)
        self._queued_bytes += len(packed)
        self._plan_flush()

    def credited(self, total_bytes: int) -> None:
        """The BEAM says how many bytes it has read since the pipe was opened."""
        if total_bytes > self._read_by_beam:
            self._read_by_beam = total_bytes
            self._plan_flush()

    # DemandSink

    def complete(self, demand: int, node: str, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        """See `DemandSink.complete`."""
        try:
            packed = messages.demand_complete(demand, node, outputs, meta)
            if len(packed) > MAX_FRAME_BYTES - _FRAME_ROOM:
                raise WireError(
                    f"the outputs take {len(packed)} bytes; at most {MAX_FRAME_BYTES} travel in one answer",
                    code="too_large",
                )
        except WireError as error:
            self.fail(demand, node, _named(error, node, outputs))
            return
        if self._last_text:
            self._last_text.pop(demand, None)
        self.send(packed)

    def fail(self, demand: int, node: str, error: GraphportError) -> None:
        """See `DemandSink.fail`."""
        self._last_text.pop(demand, None)
        packed = messages.demand_error(demand, node, fault(error))
        if len(packed) > MAX_FRAME_BYTES - _FRAME_ROOM:
            # Only a node's name of nearly a frame's length can do that; the demand's number is what counts.
            packed = messages.demand_error(demand, node[:_SHOWN_NAME], fault(error))
        self.send(packed)

    def chunk(self, demand: int, node: str, port: str, chunk: Any) -> None:
        """See `DemandSink.chunk`."""
        if chunk.__class__ is str:
            self._text(demand, node, port, chunk)
            return
        packed = messages.node_stream(demand, node, port, chunk)
        if len(packed) > MAX_FRAME_BYTES - _FRAME_ROOM:
            raise WireError(
                f"a chunk of {len(packed)} bytes; at most {MAX_FRAME_BYTES} travel in one", code="too_large"
            )
        self._last_text.pop(demand, None)
        self.send(packed)

    def _text(self, demand: int, node: str, port: str, chunk: str) -> None:
        if len(chunk) > _LARGEST_TEXT:
            for start in range(0, len(chunk), _LARGEST_TEXT):
                self._text(demand, node, port, chunk[start : start + _LARGEST_TEXT])
            return
        if not self._shut:
            self._last_text.pop(demand, None)  # what comes later must not be joined to what lies before this
            self.send(messages.node_stream(demand, node, port, chunk))
            return
        try:
            chunk.encode()  # a lone surrogate must fail here, in the node that made it
        except UnicodeEncodeError as error:
            raise WireError(f"the text has no form on the wire: {error}", code="unencodable_value") from error
        self._queued_bytes += len(chunk)
        last = self._last_text.get(demand)
        if last is not None and last.node == node and last.port == port and last.characters < _JOINED_CHARACTERS:
            last.parts.append(chunk)
            last.characters += len(chunk)
            return
        last = self._last_text[demand] = _Text(demand, node, port, chunk)
        self._queue.append(last)
        self._texts += 1

    @property
    def congested(self) -> bool:
        """See `DemandSink.congested`."""
        return self._queued_bytes + self._transport.backlog > CONGESTED_BYTES

    async def uncongested(self) -> None:
        """See `DemandSink.uncongested`."""
        while self.congested:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter

    # Sending

    @property
    def _shut(self) -> bool:
        return self._sent_bytes - self._read_by_beam >= READ_WINDOW_BYTES or self._transport.backlog > READ_WINDOW_BYTES

    def hold(self) -> None:
        """Plan no flush for what is sent from now on: the caller will call `flush` before it returns to the loop."""
        self._flush_planned = True

    def _plan_flush(self) -> None:
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what the window allows."""
        self._flush_planned = False
        queue = self._queue
        if not queue:
            return
        if self._sent_bytes - self._read_by_beam + self._queued_bytes < READ_WINDOW_BYTES and not self._texts:
            # The usual case: everything goes, and nothing in the queue is joined text.
            if len(queue) == 1:
                self._sent_bytes += self._queued_bytes
                pieces = [lone(queue.popleft())]  # type: ignore[arg-type]
            else:
                pieces, size = join(queue)  # type: ignore[arg-type]
                queue.clear()
                self._sent_bytes += size
            self._queued_bytes = 0
            self._transport.write(pieces)
        else:
            self._flush_part()
        if self._waiters and not self.congested:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _flush_part(self) -> None:
        queue = self._queue
        while queue and not self._shut:
            batch: list[bytes] = []
            room = READ_WINDOW_BYTES - (self._sent_bytes - self._read_by_beam)
            while queue and room > 0:
                head = queue.popleft()
                if head.__class__ is _Text:
                    self._texts -= 1
                    self._queued_bytes -= head.characters
                    if self._last_text.get(head.demand) is head:
                        del self._last_text[head.demand]
                    head = head.pack()
                else:
                    self._queued_bytes -= len(head)  # type: ignore[arg-type]
                batch.append(head)  # type: ignore[arg-type]
                room -= len(head)  # type: ignore[arg-type]
            pieces, size = join(batch)
            self._sent_bytes += size
            self._transport.write(pieces)


def fault(error: GraphportError) -> dict[str, Any]:
    """An error as it travels; what does not fit or cannot be packed is left out rather than lost altogether."""
    fields = error.to_wire()
    try:
        small = len(messages.error(None, fields)) < MAX_FRAME_BYTES // 2
    except WireError:
        small = False
    if small:
        return fields
    kept: dict[str, Any] = {name: fields[name] for name in ("code", "node_id", "exception") if name in fields}
    text = str(fields["message"]).encode("utf-8", "replace").decode()
    return {**kept, "message": text[:10_000]}


def _named(error: WireError, node: str, outputs: dict[str, Any]) -> WireError:
    """The error with the port that is to blame."""
    ports = []
    for port, value in outputs.items():
        try:
            size = len(messages.reply(0, value))
        except WireError:
            ports.append(port)
        else:
            if error.code == "too_large" and size > MAX_FRAME_BYTES // (2 * len(outputs)):
                ports.append(port)
    where = f" (output {', '.join(ports)})" if ports else ""
    return WireError(f"node {node!r}{where}: {error.message}", code=error.code, node_id=node)
