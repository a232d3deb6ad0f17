"""Everything the engine sends: packs messages, joins them into frames once per wake-up, keeps to the BEAM's window.

While the window is shut, or much waits to be sent, text chunks of one stream are joined, and of a node's progress the
latest is kept; nothing else is dropped, and the order within a demand stays.
Is the evaluator's sink. Called by `connection`, `logs` and the evaluator, on the loop's thread only.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import DemandStopped, GraphportError, WireError
from graphport.graph.values import size_of
from graphport.server.bulk import Bulk
from graphport.server.faults import fault, naming
from graphport.server.overdue import Overdue
from graphport.server.pending import JoinedText, Latest, Replay, packed_chunk, utf8_size
from graphport.server.waiters import Waiters
from graphport.server.watch_answers import WatchAnswers
from graphport.server.window import Kept, Window
from graphport.wire import messages
from graphport.wire.framing import join, lone
from graphport.wire.limits import BULK_WINDOW_BYTES, MAX_VALUE_BYTES, PART_BYTES, READ_WINDOW_BYTES

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from graphport.contracts.sink import Target
    from graphport.server.transport import Transport

# Streaming nodes are held back while more than this waits here.
CONGESTED_BYTES: Final = 4_194_304
# Of one chunk; with what it may be joined to, in UTF-8, still no more than one message carries.
_LARGEST_TEXT: Final = 30_000
_SHOWN_NAME: Final = 1_000
# A cached stream of more is sent bit by bit, others passing.
_AT_ONCE_BYTES: Final = 65_536
# After so much else a part is sent, even if more else waits.
_BETWEEN_PARTS_BYTES: Final = 524_288
# Larger outputs are packed anew each time: they are not to be kept here when the cache lets go of them.
_PREPARED_BYTES: Final = 4_096
_SMALL_US: Final = 128
# More messages than this in one wake-up are a backlog: text is then joined, which is many times as fast for both sides.
_BACKLOG_MESSAGES: Final = 16


class _Prepared:
    """An answer that is given again and again, packed."""

    __slots__ = ("after", "before", "meta", "node", "outputs")

    def __init__(self, node: str, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        self.node, self.outputs, self.meta = node, outputs, meta
        self.before, self.after = messages.prepared_complete(node, outputs, meta)


class Outbox(WatchAnswers):
    """The way out. See `contracts.sink.DemandSink` for what the evaluator uses of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._queue: deque[bytes | JoinedText | Latest] = deque()
        # Of all that waits. Not for the length of a frame: an interrupted `send` leaves it wrong.
        self._queued_bytes = 0
        # The text per demand that more may still be joined to, its nodes' progress that may still change, and how much
        # of the queue is not packed yet.
        self._last_text: dict[int, JoinedText] = {}
        self._progress: dict[int, dict[str, Latest]] = {}
        self._unpacked = 0
        # How many messages have left the queue, and when the last part was sent: `_sent_bytes` of then.
        self._gone = 0
        self._part_at = 0
        self._sent_bytes = 0
        self._read_by_beam = 0
        self._flush_planned = False
        self._waiters = Waiters()
        self._windows: dict[int, Window] = {}
        self._kept = Kept()
        # Demands that are granted more than they have sent.
        self._pent: set[int] = set()
        self._bulk = Bulk()
        self._long = self._bulk.waiting
        self._overdue = Overdue(loop, self._expire)
        transport.on_room(self.flush)

    # Control

    def send(self, packed: bytes) -> None:
        """Queue a packed message."""
        self._queue.append(packed)
        self._queued_bytes += len(packed)
        self._plan_flush()

    def send_last(self, packed: bytes) -> None:
        """Send a packed message at once, past the window: no credit will be read any more."""
        self._transport.write([lone(packed)])

    def send_about(self, number: int, packed: bytes) -> None:
        """Queue a packed message about a demand or request: in parts if it is long, and never before one that is."""
        if len(packed) > PART_BYTES or number in self._long:
            self._add_bulk(number, packed)
        else:
            self.send(packed)

    def _add_bulk(self, number: int, what: bytes | Latest | Replay) -> None:
        self._bulk.add(number, what, self._gone + len(self._queue))
        self._plan_flush()

    def open_window(self, demand: int, chunks: int) -> None:
        """A demand is about to start that may send so many chunks before a grant."""
        self._windows[demand] = Window(demand, chunks, self._kept)

    def shut(self, demand: int) -> None:
        """Whoever receives a demand without a window has too much unread: keep its chunks until `reopen`."""
        if demand not in self._windows:
            self._last_text.pop(demand, None)
            self._progress.pop(demand, None)
            self._windows[demand] = Window(demand, 0, self._kept, held=True)

    def reopen(self, demand: int) -> None:
        """Take `shut` back. Demands that are not shut are ignored."""
        window = self._windows.get(demand)
        if window is None or not window.held:
            return
        del self._windows[demand]
        for what in window.empty_out():
            if isinstance(what, Replay):
                self._add_bulk(demand, what)
            else:
                self.send_about(demand, what)
        if window.last is not None:
            self.send_about(demand, window.last)
            self._sent_all(demand)
        window.waiters.wake()

    def grant(self, demand: int, chunks: int) -> None:
        """Let more chunks of a demand through. Unknown demands are ignored."""
        window = self._windows.get(demand)
        if window is not None:
            window.grant(chunks)
            self._release(demand, window)

    def holds(self, demand: int) -> bool:
        """See `DemandSink.holds`."""
        return demand in self._windows or demand in self._long

    def cancel(self, demand: int) -> None:
        """The BEAM wants no more of a demand that the evaluator has answered, if it still waits here."""
        if self.drop(demand):
            self.fail(demand, "", DemandStopped("the demand was cancelled", code="cancelled"))

    def drop(self, demand: int) -> bool:
        """Forget what waits of a demand, request or call; returns whether there was any."""
        window = self._windows.pop(demand, None)
        if window is not None:
            window.discard()
        self._overdue.forget(demand)
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
            self.fail(demand, node, naming(error, node, outputs))
            return
        self._end(demand, packed)

    def prepare(self, node: str, outputs: dict[str, Any], meta: dict[str, Any]) -> _Prepared | None:
        """See `DemandSink.prepare`."""
        if size_of(outputs) > _PREPARED_BYTES:
            return None
        try:
            prepared = _Prepared(node, outputs, meta)
        except WireError:
            return None  # `complete` tells each demand
        # Sizes are estimates: of a subclass of `dict` only the shell is measured, and of the node's id nothing.
        return prepared if len(prepared.before) <= 2 * _PREPARED_BYTES else None

    def complete_prepared(self, demand: int, prepared: _Prepared, us: int) -> None:
        """See `DemandSink.complete_prepared`."""
        if us < _SMALL_US:
            packed = messages.complete_of(demand, prepared.before, us, prepared.after)
            if self._last_text or self._progress or self._windows or self._long:
                self._end(demand, packed)
            else:
                self.send(packed)
        else:
            self.complete(demand, prepared.node, prepared.outputs, {**prepared.meta, "us": us})

    def fail(self, demand: int, node: Target, error: GraphportError) -> None:
        """See `DemandSink.fail`."""
        packed = messages.demand_error(demand, node, fault(error))
        if len(packed) > PART_BYTES:
            # Only names of such a length can do that; the demand's number is what counts.
            packed = messages.demand_error(demand, str(node)[:_SHOWN_NAME], fault(error))
        # Not a node's own stop: what it said before that is as good as before any other failure.
        if isinstance(error, DemandStopped) and error.node_id is None and (self._windows or self._long):
            self.drop(demand)
        self._end(demand, packed)

    def ends_by(self, demand: int, node: Target, when: float, error: GraphportError) -> None:
        """See `DemandSink.ends_by`."""
        self._overdue.watch(demand, when, messages.demand_error(demand, node, fault(error)))

    def _expire(self, demand: int, packed: bytes) -> None:
        """The deadline of a demand has passed whose last message waits here."""
        if self.drop(demand):
            self.send_about(demand, packed)

    def _end(self, demand: int, packed: bytes) -> None:
        """Send a demand's last message, after everything else of it."""
        if self._last_text:
            self._last_text.pop(demand, None)
        if self._progress:
            self._progress.pop(demand, None)
        if self._windows:
            window = self._windows.get(demand)
            if window is not None and not window.empty:
                window.last = packed
                return
            self._windows.pop(demand, None)
        self.send_about(demand, packed)

    def chunk(self, demand: int, node: str, port: str, chunk: Any) -> bool:
        """See `DemandSink.chunk`."""
        if type(chunk) is str:  # not its `__class__`, which a value may give as it likes
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
        packed = packed_chunk(demand, node, port, chunk)
        window = self._windows.get(demand) if self._windows else None
        if window is not None:
            window.put(packed)
            self._release(demand, window)
            return
        self._last_text.pop(demand, None)
        self.send_about(demand, packed)

    def replay(self, demand: int, node: str, chunks: Sequence[tuple[str, Any]]) -> None:
        """See `DemandSink.replay`."""
        if not chunks:
            return
        replay = Replay(demand, node, chunks)
        window = self._windows.get(demand) if self._windows else None
        if window is not None:
            window.put_replay(replay)
            self._release(demand, window)
            return
        self._last_text.pop(demand, None)
        if replay.size > _AT_ONCE_BYTES or demand in self._long:
            self._add_bulk(demand, replay)
            return
        while not replay.over:
            self.send_about(demand, replay.take())

    def event(self, demand: int, node: str, event: dict[str, Any]) -> None:
        """See `DemandSink.event`."""
        self._last_text.pop(demand, None)
        packed = messages.node_event(demand, node, event)
        window = self._windows.get(demand) if self._windows else None
        if event["event"] == "progress":
            self._tell_progress(demand, node, packed, window)
            return
        if window is not None:
            before = window.last_progress(node)
            if before is not None:
                self.send_about(demand, before)
        self.send_about(demand, packed)

    def _tell_progress(self, demand: int, node: str, packed: bytes, window: Window | None) -> None:
        if window is not None:
            window.put_progress(node, packed)
            self._release(demand, window)
            return
        of_demand = self._progress.get(demand)
        before = of_demand.get(node) if of_demand is not None else None
        if before is not None and not before.sent:
            before.packed = packed
            return
        is_bulk = demand in self._long
        if len(self._queue) < _BACKLOG_MESSAGES and not self._shut and not is_bulk:
            self.send(packed)
            return
        latest = Latest(node, packed)
        self._progress.setdefault(demand, {})[node] = latest
        if is_bulk:
            self._add_bulk(demand, latest)
            return
        self._queue_unpacked(latest)

    def _queue_unpacked(self, what: JoinedText | Latest) -> None:
        self._unpacked += 1  # first: interrupted here, the next flush only takes the longer way
        self._queue.append(what)
        self._queued_bytes += what.size
        self._plan_flush()

    def degraded(self, stuck: int, reason: str) -> None:
        """See `DemandSink.degraded`."""
        self.send(messages.degraded(stuck, reason))

    def _release(self, demand: int, window: Window) -> None:
        """Send what a demand's window lets through, and its last message once nothing is before it."""
        for packed in window.granted():
            self.send_about(demand, packed)
            if self.congested and window.replays:
                self._pent.add(demand)  # what the cache holds is not copied to here before it can go
                break
        if window.last is not None and window.empty:
            del self._windows[demand]
            self.send_about(demand, window.last)
            self._sent_all(demand)
        if window.waiters and not window.behind:
            window.waiters.wake()

    def _sent_all(self, demand: int) -> None:
        """Something of a demand has gone; its deadline is of no more interest if that was all."""
        if self._overdue and not self.holds(demand):
            self._overdue.forget(demand)

    def _text(self, demand: int, node: str, port: str, chunk: str) -> None:
        if not chunk:
            return  # joined to anything it would be nothing
        if len(chunk) > _LARGEST_TEXT:
            for start in range(0, len(chunk), _LARGEST_TEXT):
                self._text(demand, node, port, chunk[start : start + _LARGEST_TEXT])
            return
        window = self._windows.get(demand) if self._windows else None
        if window is not None:
            if window.open:
                packed = messages.node_stream(demand, node, port, chunk)
                window.spend()
                self.send_about(demand, packed)
                return
            window.put_text(node, port, chunk, utf8_size(chunk))
            self._release(demand, window)
            return
        if (len(self._queue) < _BACKLOG_MESSAGES and not self._shut) or demand in self._long:
            if self._last_text:
                self._last_text.pop(demand, None)  # what comes later must not be joined to what lies before this
            self.send_about(demand, messages.node_stream(demand, node, port, chunk))
            return
        size = utf8_size(chunk)
        last = self._last_text.get(demand)
        if last is not None and last.take(node, port, chunk):
            last.extra += size - len(chunk)
            self._queued_bytes += size
            return
        last = self._last_text[demand] = JoinedText(demand, node, port, chunk, size - len(chunk))
        self._queue_unpacked(last)

    @property
    def kept_bytes(self) -> int:
        """Bytes of chunks that await grants, of all demands."""
        return self._kept.bytes

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
        return bool(self._long) and self._bulk.behind(demand)

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
        if self._long:
            self._flush_bulk()
        if self._waiters and not self.congested:
            self._waiters.wake()
        if self._pent and not self.congested:
            self._release_pent()

    def _release_pent(self) -> None:
        pent, self._pent = self._pent, set()
        for demand in pent & self._windows.keys():
            self._release(demand, self._windows[demand])

    def _flush_queue(self) -> None:
        queue = self._queue
        if self._sent_bytes - self._read_by_beam + self._queued_bytes < READ_WINDOW_BYTES and not self._unpacked:
            # The usual case: everything goes, and all of it is packed.
            self._gone += len(queue)
            pieces, size = join(queue)  # type: ignore[arg-type]
            queue.clear()
            self._sent_bytes += size
            self._queued_bytes = 0
            self._transport.write(pieces)
        else:
            self._flush_some()

    def _flush_bulk(self) -> None:
        """Send parts while the operating system takes them: what waits in the transport nothing else can pass."""
        if self._sent_bytes - self._part_at >= _BETWEEN_PARTS_BYTES and self._bulk.due(self._gone):
            self._send_part()  # or a queue that never empties would keep them here for ever
        while (
            self._long
            and not self._queue
            and not self._transport.backlog
            and self._sent_bytes - self._read_by_beam < BULK_WINDOW_BYTES
        ):
            self._send_part()
        self._bulk.waiters.wake()

    def _send_part(self) -> None:
        number, packed = self._bulk.next()
        self._sent_bytes += len(packed)
        self._part_at = self._sent_bytes
        self._transport.write([lone(packed)])
        self._sent_all(number)

    def _flush_some(self) -> None:
        queue = self._queue
        while queue and not self._shut:
            batch: list[bytes] = []
            taken, room = 0, READ_WINDOW_BYTES - (self._sent_bytes - self._read_by_beam)
            while queue and taken < room:
                head = self._take()
                batch.append(head)
                taken += len(head)
            pieces, size = join(batch)
            self._sent_bytes += size
            self._transport.write(pieces)

    def _take(self) -> bytes:
        """The first message of the queue, packed."""
        self._gone += 1
        head = self._queue.popleft()
        if isinstance(head, bytes):
            self._queued_bytes -= len(head)
            return head
        self._unpacked -= 1
        self._queued_bytes -= head.size
        if isinstance(head, JoinedText) and self._last_text.get(head.demand) is head:
            del self._last_text[head.demand]
        return head.pack()
