"""The messages of `PROTOCOL.md`: incoming ones as slotted classes, which `parse` makes; outgoing ones as packed bytes.

Must not know sessions or demands. Called by `server` for each frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from graphport.wire.codec import pack

if TYPE_CHECKING:
    from graphport.core.errors import WireError


@dataclass(slots=True)
class Hello:
    """The BEAM's first message."""

    protocol: int
    client: str
    options: dict[str, Any]


@dataclass(slots=True)
class Open:
    """Load a graph as a session."""

    req: int
    session: int
    graph: dict[str, Any]
    options: dict[str, Any]


@dataclass(slots=True)
class Update:
    """Edit a session's graph; `graph.edit` says what an edit is."""

    req: int
    session: int
    edits: list[Any]


@dataclass(slots=True)
class Close:
    """Forget a session; its open demands end as cancelled."""

    req: int
    session: int


@dataclass(slots=True)
class DemandAsync:
    """Evaluate a node.

    Attributes:
        node: a node's id, several, or `"*"` for all sinks.
        inputs: node id to port to value; these win over everything else.
        deadline_ms: milliseconds from receipt, or None.
        stream: True for chunks of all nodes, False for none, or the ids of the nodes to stream.
        fresh: draw new seeds.
        events: tell what becomes of each node.
        window: chunks that may be sent before a grant, or None for no limit.
        trace: keep a trace of the run.
        provenance: tell where the outputs come from; a map is told with it.
        watch: go on after the outputs, and evaluate again after edits.
        wait: stay open while a person's answer is awaited.
    """

    demand: int
    session: int
    node: str | list[str]
    inputs: dict[str, dict[str, Any]] | None = None
    deadline_ms: int | None = None
    stream: bool | frozenset[str] = False
    fresh: bool = False
    events: bool = False
    window: int | None = None
    trace: bool = False
    provenance: bool | dict[str, Any] = False
    watch: bool = False
    wait: bool = False


@dataclass(slots=True)
class Cancel:
    """Stop a demand."""

    demand: int


@dataclass(slots=True)
class Grant:
    """Let more chunks of a demand through."""

    demand: int
    chunks: int


@dataclass(slots=True)
class Hold:
    """Keep the chunks of a demand without a window, or keep them no longer."""

    demand: int
    shut: bool


@dataclass(slots=True)
class Decide:
    """A person has answered a node."""

    req: int
    session: int
    node: str
    answer: Any


@dataclass(slots=True)
class HostReply:
    """A node that the BEAM runs is done: `value` is the map of its outputs, or, if not `ok`, of its error."""

    call: int
    ok: bool
    value: Any


@dataclass(slots=True)
class HostStream:
    """A chunk of a node that the BEAM runs."""

    call: int
    port: str
    chunk: Any


@dataclass(slots=True)
class HostProgress:
    """How far a node is that the BEAM runs."""

    call: int
    fraction: float | None
    text: str


@dataclass(slots=True)
class Query:
    """Ask for something that changes nothing."""

    req: int
    what: str
    args: dict[str, Any]


@dataclass(slots=True)
class Part:
    """A piece of a packed message that is too long to travel in one."""

    transfer: int
    seq: int
    last: bool
    data: bytes


@dataclass(slots=True)
class Ping:
    """Ask for a sign of life."""

    token: int


@dataclass(slots=True)
class Credit:
    """What the other side has read since the pipe was opened."""

    frames: int
    bytes: int


@dataclass(slots=True)
class Malformed:
    """Stands for a message that could not be taken, with the error and whom to tell.

    Attributes:
        error: the `bad_message` error.
        demand: id and node of the demand to answer, if they could be read.
        req: id of the request to answer, if it could be read.
        call: number of the call that it is about, if it could be read.
    """

    error: WireError
    demand: tuple[int, str | list[str]] | None = None
    req: int | None = None
    call: int | None = None


Message = (
    Hello
    | Open
    | Update
    | Close
    | DemandAsync
    | Cancel
    | Grant
    | Hold
    | Decide
    | HostReply
    | HostStream
    | HostProgress
    | Query
    | Part
    | Ping
    | Credit
    | Malformed
)


def ready(facts: dict[str, Any]) -> bytes:
    """The engine is up; `facts` as in the protocol."""
    return pack(["ready", facts])


def reply(req: int, result: Any) -> bytes:
    """The answer to a request."""
    return pack(["reply", req, result])


def error(req: int | None, fault: dict[str, Any]) -> bytes:
    """A request failed, or a message could not be taken."""
    return pack(["error", req, fault])


def demand_complete(demand: int, node: str | list[str], outputs: dict[str, Any], meta: dict[str, Any]) -> bytes:
    """A demand's last message: its outputs."""
    return pack(["demand_complete", demand, node, outputs, meta])


def prepared_complete(node: str, outputs: dict[str, Any], meta: dict[str, Any]) -> tuple[bytes, bytes]:
    """What stands before and after the value of `us` in a `demand_complete`, from its node on.

    `complete_of` makes messages of it, for any demand.
    """
    names = list(meta)
    parts = [pack(each) for name in names for each in (name, meta[name])]
    at = names.index("us") * 2 + 1
    head = pack(node) + pack(outputs) + pack(meta)[:1]
    return head + b"".join(parts[:at]), b"".join(parts[at + 1 :])


def complete_of(demand: int, before: bytes, us: int, after: bytes) -> bytes:
    """The `demand_complete` of these parts; `us` is from 0 to 127."""
    return b"".join((_COMPLETE, demand.to_bytes(8, "big"), before, _SMALL[us], after))


_COMPLETE: Final = pack(["demand_complete", 0, 0, 0, 0])[:17] + b"\xcf"
_SMALL: Final = [bytes((number,)) for number in range(128)]


def demand_error(demand: int, node: str | list[str], fault: dict[str, Any]) -> bytes:
    """A demand's last message: why there are no outputs."""
    return pack(["demand_error", demand, node, fault])


def node_output(demand: int, node: str | list[str], outputs: dict[str, Any], meta: dict[str, Any]) -> bytes:
    """New outputs of a watch, which goes on."""
    return pack(["node_output", demand, node, outputs, meta])


def node_failed(demand: int, node: str | list[str], fault: dict[str, Any]) -> bytes:
    """A watch could not be evaluated, and goes on."""
    return pack(["node_failed", demand, node, fault])


def node_stream(demand: int, node: str, port: str, chunk: Any) -> bytes:
    """One chunk of a streamed output."""
    return pack(["node_stream", demand, node, port, chunk])


def node_event(demand: int, node: str, event: dict[str, Any]) -> bytes:
    """What becomes of a node."""
    return pack(["node_event", demand, node, event])


def host_call(call: int, demand: int, node: str, type_: str, inputs: dict[str, Any]) -> bytes:
    """Run a node of the host's."""
    return pack(["host_call", call, demand, node, type_, inputs])


def host_cancel(call: int) -> bytes:
    """Nobody waits for a call any more."""
    return pack(["host_cancel", call])


def host_more(call: int, chunks: int) -> bytes:
    """So many more chunks of a call may be sent."""
    return pack(["host_more", call, chunks])


def part(transfer: int, seq: int, data: bytes | memoryview, *, last: bool) -> bytes:
    """A piece of a packed message."""
    return pack(["part", transfer, seq, last, data])


def credit(frames: int, size: int) -> bytes:
    """Frames and bytes read so far."""
    return pack(["credit", frames, size])


def log(level: str, logger: str, text: str, meta: dict[str, Any]) -> bytes:
    """A line for the BEAM's Logger."""
    return pack(["log", level, logger, text, meta])


def degraded(stuck: int, reason: str) -> bytes:
    """The engine should be replaced: so many executions were cancelled and do not end."""
    reason = reason.encode("utf-8", "backslashreplace").decode()
    return pack(["degraded", {"stuck": stuck, "reason": reason}])


def pong(token: int) -> bytes:
    """The answer to a ping."""
    return pack(["pong", token])
