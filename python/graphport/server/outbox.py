"""Everything the engine sends: packs messages, joins them into frames once per wake-up, keeps to the BEAM's window.

While the window is shut, or much waits to be sent, text chunks of one stream are joined; nothing is dropped and the
order within a demand stays.
Is the evaluator's sink. Called by `connection`, `logs` and the evaluator, on the loop's thread only.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import DemandStopped, GraphportError, WireError
from graphport.graph.values import size_of
from graphport.server.bulk import Bulk
from graphport.server.waiters import Waiters
from graphport.server.window import JoinedText, Window
from graphport.wire import messages
from graphport.wire.framing import join, lone
from graphport.wire.limits import BULK_WINDOW_BYTES, MAX_VALUE_BYTES, PART_BYTES, READ_WINDOW_BYTES

if TYPE_CHECKING:
    import asyncio

    from graphport.contracts.sink import Target
    from graphport.server.transport import Transport

# Streaming nodes are held back while more than this waits here.
CONGESTED_BYTES: Final = 4_194_304
# Of one chunk; with what it may be joined to, in UTF-8, still no more than one message carries.
_LARGEST_TEXT: Final = 30_000
_SHOWN_NAME: Final = 1_000
# Larger outputs are packed anew each time: they are not to be kept here when the cache lets go of them.
_PREPARED_BYTES: Final = 4_096
_SMALL_US: Final = 128
# More messages than this in one wake-up are a backlog: text is then joined, which is many times as fast for both sides.
_BACKLOG_MESSAGES: Final = 16
_SHOWN_TEXT: Final = 4_096
_SHOWN_TRACEBACK: Final = 16_384


class _Prepared:
    """An answer that is given again and again, packed."""

    __slots__ = ("after", "before", "meta", "node", "outputs")

    def __init__(self, node: str, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        self.node, self.outputs, self.meta = node, outputs, meta
        self.before, self.after = messages.prepared_complete(node, outputs, meta)


class Outbox:
    """The way out. See `contracts.sink.DemandSink` for what the evaluator uses of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._queue: deque[bytes | JoinedText] = deque()
        self._queued_bytes = 0
        # The text per demand that more may still be joined to, and how many texts wait in the queue altogether.
        self._last_text: dict[int, JoinedText] = {}
        self._texts = 0
        self._sent_bytes = 0
        self._read_by_beam = 0
        self._flush_planned = False
        self._waiters = Waiters()
        self._windows: dict[int, Window] = {}
        self._bulk = Bulk()
        transport.on_room(self.flush)

    # Control

    def send(self, packed: bytes) -> None:
        """Queue a packed message."""
        self._queue.append(packed)
        self._queued_bytes += len(packed)
        self._plan_flush()

    def send_about(self, number: int, packed: bytes) -> None:
        """Queue a packed message about a demand or request: in parts if it is long, and never before one that is."""
        if len(packed) > PART_BYTES or (self._bulk and number in self._bulk):
            self._bulk.add(number, packed)
            self._plan_flush()
        else:
            self.send(packed)

    def open_window(self, demand: int, chunks: int) -> None:
        """A demand is about to start that may send so many chunks before a grant."""
        self._windows[demand] = Window(demand, chunks)

    def grant(self, demand: int, chunks: int) -> None:
        """Let more chunks of a demand through. Unknown demands are ignored."""
        window = self._windows.get(demand)
        if window is not None:
            window.grant(chunks)
            self._release(demand, window)

    def holds(self, demand: int) -> bool:
        """Whether the last message of a demand, or a part of it, still waits here."""
        return (bool(self._windows) and demand in self._windows) or (bool(self._bulk) and demand in self._bulk)

    def cancel(self, demand: int) -> None:
        """The BEAM wants no more of a demand that the evaluator has answered, if it still waits here."""
        if self._drop(demand):
            self.fail(demand, "", DemandStopped("the demand was cancelled", code="cancelled"))

    def _drop(self, demand: int) -> bool:
        """Forget what waits of a demand; returns whether there was any."""
        window = self._windows.pop(demand, None)
        if window is not None:
            window.waiters.wake()
        dropped = self._bulk.drop(demand)
        self._bulk.waiters.wake()
        return dropped or window is not None

    def credited(self, total_bytes: int) -> None:
        """The BEAM says how many bytes it has read since the pipe was opened."""
        if total_bytes > self._read_by_beam:
            self._read_by_beam = total_bytes
            self._plan_flush()

    # DemandSink

    def complete(self, demand: int, node: Target, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        """See `DemandSink.complete`."""
        try:
            packed = messages.demand_complete(demand, node, outputs, meta)
            if len(packed) > MAX_VALUE_BYTES:
                raise WireError(
                    f"the outputs take {len(packed)} bytes; at most {MAX_VALUE_BYTES} travel in one answer",
                    code="too_large",
                )
        except WireError as error:
            self.fail(demand, node, _named(error, node, outputs))
            return
        self._end(demand, packed)

    def prepare(self, node: str, outputs: dict[str, Any], meta: dict[str, Any]) -> _Prepared | None:
        """See `DemandSink.prepare`."""
        if size_of(outputs) > _PREPARED_BYTES:
            return None
        try:
            return _Prepared(node, outputs, meta)
        except WireError:
            return None  # `complete` tells each demand

    def complete_prepared(self, demand: int, prepared: _Prepared, us: int) -> None:
        """See `DemandSink.complete_prepared`."""
        if us < _SMALL_US:
            self._end(demand, messages.complete_of(demand, prepared.before, us, prepared.after))
        else:
            self.complete(demand, prepared.node, prepared.outputs, {**prepared.meta, "us": us})

    def fail(self, demand: int, node: Target, error: GraphportError) -> None:
        """See `DemandSink.fail`."""
        packed = messages.demand_error(demand, node, fault(error))
        if len(packed) > PART_BYTES:
            # Only names of such a length can do that; the demand's number is what counts.
            packed = messages.demand_error(demand, str(node)[:_SHOWN_NAME], fault(error))
        if isinstance(error, DemandStopped) and (self._windows or self._bulk):
            self._drop(demand)
        self._end(demand, packed)

    def _end(self, demand: int, packed: bytes) -> None:
        """Send a demand's last message, after everything else of it."""
        if self._last_text:
            self._last_text.pop(demand, None)
        if self._windows:
            window = self._windows.get(demand)
            if window is not None and not window.empty:
                window.last = packed
                return
            self._windows.pop(demand, None)
        self.send_about(demand, packed)

    def chunk(self, demand: int, node: str, port: str, chunk: Any) -> bool:
        """See `DemandSink.chunk`."""
        if chunk.__class__ is str:
            last = self._last_text.get(demand)
            # First what a backlog consists of.
            if last is not None and chunk.isascii() and last.take(node, port, chunk):
                self._queued_bytes += len(chunk)
                return self._queued_bytes + self._transport.backlog > CONGESTED_BYTES
            self._text(demand, node, port, chunk)
        else:
            self._value(demand, node, port, chunk)
        return self.behind(demand)

    def _value(self, demand: int, node: str, port: str, chunk: Any) -> None:
        packed = messages.node_stream(demand, node, port, chunk)
        if len(packed) > MAX_VALUE_BYTES:
            raise WireError(
                f"a chunk of {len(packed)} bytes; at most {MAX_VALUE_BYTES} travel in one", code="too_large"
            )
        window = self._windows.get(demand) if self._windows else None
        if window is not None:
            window.put(packed)
            self._release(demand, window)
            return
        self._last_text.pop(demand, None)
        self.send_about(demand, packed)

    def event(self, demand: int, node: str, event: dict[str, Any]) -> None:
        """See `DemandSink.event`."""
        self._last_text.pop(demand, None)
        self.send_about(demand, messages.node_event(demand, node, event))

    def degraded(self, stuck: int, reason: str) -> None:
        """See `DemandSink.degraded`."""
        self.send(messages.degraded(stuck, reason))

    def _release(self, demand: int, window: Window) -> None:
        """Send what a demand's window lets through, and its last message once nothing is before it."""
        for packed in window.granted():
            self.send_about(demand, packed)
        if window.last is not None and window.empty:
            del self._windows[demand]
            self.send_about(demand, window.last)
        if window.waiters and not window.behind:
            window.waiters.wake()

    def _text(self, demand: int, node: str, port: str, chunk: str) -> None:
        if len(chunk) > _LARGEST_TEXT:
            for start in range(0, len(chunk), _LARGEST_TEXT):
                self._text(demand, node, port, chunk[start : start + _LARGEST_TEXT])
            return
        window = self._windows.get(demand) if self._windows else None
        if window is None and (
            (len(self._queue) < _BACKLOG_MESSAGES and not self._shut) or (self._bulk and demand in self._bulk)
        ):
            if self._last_text:
                self._last_text.pop(demand, None)  # what comes later must not be joined to what lies before this
            self.send_about(demand, messages.node_stream(demand, node, port, chunk))
            return
        if not chunk.isascii():
            try:
                chunk.encode()  # a lone surrogate must fail here, in the node that made it
            except UnicodeEncodeError as error:
                raise WireError(f"the text has no form on the wire: {error}", code="unencodable_value") from error
        if window is not None:
            window.put_text(node, port, chunk)
            self._release(demand, window)
            return
        self._queued_bytes += len(chunk)
        last = self._last_text.get(demand)
        if last is None or not last.take(node, port, chunk):
            last = self._last_text[demand] = JoinedText(demand, node, port, chunk)
            self._queue.append(last)
            self._texts += 1
            self._plan_flush()

    @property
    def congested(self) -> bool:
        """Whether so much waits altogether that whatever can wait should."""
        return self._queued_bytes + self._transport.backlog > CONGESTED_BYTES

    def behind(self, demand: int) -> bool:
        """See `DemandSink.behind`."""
        if self.congested:
            return True
        if self._windows:
            window = self._windows.get(demand)
            if window is not None and window.behind:
                return True
        return bool(self._bulk) and self._bulk.behind(demand)

    async def caught_up(self, demand: int) -> None:
        """See `DemandSink.caught_up`."""
        if not self.behind(demand):
            return
        window = self._windows.get(demand)
        if self.congested:
            waiters = self._waiters
        elif window is not None and window.behind:
            waiters = window.waiters
        else:
            waiters = self._bulk.waiters
        await waiters.wait()

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
        if self._queue:
            self._flush_queue()
        if self._bulk:
            self._flush_bulk()
        if self._waiters and not self.congested:
            self._waiters.wake()

    def _flush_queue(self) -> None:
        queue = self._queue
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
            self._flush_some()

    def _flush_bulk(self) -> None:
        """Send parts while the operating system takes them: what waits in the transport nothing else can pass."""
        while (
            self._bulk
            and not self._queue
            and not self._transport.backlog
            and self._sent_bytes - self._read_by_beam < BULK_WINDOW_BYTES
        ):
            packed = self._bulk.next()
            self._sent_bytes += len(packed)
            self._transport.write([lone(packed)])
        self._bulk.waiters.wake()

    def _flush_some(self) -> None:
        queue = self._queue
        while queue and not self._shut:
            batch: list[bytes] = []
            room = READ_WINDOW_BYTES - (self._sent_bytes - self._read_by_beam)
            while queue and room > 0:
                head = queue.popleft()
                if head.__class__ is JoinedText:
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
    """An error as it travels; what does not fit or cannot be packed is cut or left out rather than all of it lost."""
    fields = error.to_wire()
    if _travels(fields):
        return fields
    # A lone surrogate in a text, an exception of megabytes, or details that are no plain data.
    for name, value in fields.items():
        if isinstance(value, str):
            # Of a traceback the end is what counts.
            cut = value[-_SHOWN_TRACEBACK:] if name == "traceback" else value[:_SHOWN_TEXT]
            fields[name] = cut.encode("utf-8", "backslashreplace").decode()
    details = fields.get("details")
    if isinstance(details, dict) and isinstance(details.get("faults"), list):
        faults = details["faults"]
        while len(faults) > 1 and not _travels(fields):
            faults = faults[: len(faults) // 2]
            fields["details"] = {**details, "faults": faults}
    for name in ("details", "traceback"):
        if not _travels(fields):
            fields.pop(name, None)
    return fields


def _travels(fields: dict[str, Any]) -> bool:
    try:
        return len(messages.error(None, fields)) < PART_BYTES // 2
    except WireError:
        return False


def _named(error: WireError, node: Target, outputs: dict[str, Any]) -> WireError:
    """The error with the port that is to blame."""
    ports = []
    for port, value in outputs.items():
        try:
            size = len(messages.reply(0, value))
        except WireError:
            ports.append(port)
        else:
            if error.code == "too_large" and size > MAX_VALUE_BYTES // (2 * len(outputs)):
                ports.append(port)
    where = f" (output {', '.join(ports)})" if ports else ""
    if node.__class__ is not str:
        return WireError(f"{error.message}{where}", code=error.code)
    return WireError(f"node {node!r}{where}: {error.message}", code=error.code, node_id=node)
