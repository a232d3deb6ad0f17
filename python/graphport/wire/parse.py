"""Reads messages: a frame's payload into the slotted classes of `messages`.

Checked by hand and not by a schema library because a demand passes here in about two microseconds. Must not know
sessions or demands. Called by `server` for each frame.
"""

from __future__ import annotations

from reprlib import Repr
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import WireError
from graphport.wire.codec import unpack
from graphport.wire.limits import MAX_ID, MAX_TARGETS
from graphport.wire.messages import (
    Cancel,
    Close,
    Credit,
    Decide,
    DemandAsync,
    Grant,
    Hello,
    Hold,
    HostProgress,
    HostReply,
    HostStream,
    Malformed,
    Open,
    Part,
    Ping,
    Query,
    Update,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.wire.messages import Message


# What a demand begins with as the BEAM writes it: behind this stands its number, then what it asks for.
DEMAND_HEAD: Final = b"\x95\xacdemand_async\xcf"
DEMAND_NUMBER: Final = slice(len(DEMAND_HEAD), len(DEMAND_HEAD) + 8)
DEMAND_REST: Final = slice(DEMAND_NUMBER.stop, None)


def parse_frame(payload: bytes | memoryview) -> list[Message]:
    """The messages of one frame, in order. A message that is wrong in itself comes back as `Malformed`.

    Raises:
        WireError: `bad_frame` if the payload is not one MessagePack value.
    """
    value = unpack(payload)
    if value.__class__ is not list or not value:
        return [Malformed(WireError("expected a message [name, …] or a batch of messages"))]
    if value[0].__class__ is list:
        return [_parse(message) for message in value]
    return [_parse(value)]


def _parse(message: Any) -> Message:
    if message.__class__ is not list:
        return _unknown(message)
    try:
        parser = _PARSERS[message[0]]
    except (KeyError, TypeError, IndexError):
        return _unknown(message)
    try:
        return parser(message)
    except _Wrong as wrong:
        return _malformed(message, str(wrong))
    except ValueError:
        arity = _ARITY[message[0]]
        return _malformed(message, f"{message[0]} takes {arity} fields after its name, got {len(message) - 1}")


class _Wrong(Exception):
    """A field is not of its type; the text says which."""


def _unknown(message: Any) -> Malformed:
    if message.__class__ is not list or not message or message[0].__class__ is not str:
        return Malformed(WireError("expected a message: a list whose first element is its name"))
    return Malformed(WireError(f"unknown message {_shown(message[0])}"))


def _malformed(message: list[Any], text: str) -> Malformed:
    answer = Malformed(WireError(text))
    name = message[0]
    if name == "demand_async" and len(message) > 1 and _is_id(message[1]):
        node = message[3] if len(message) > 3 and is_target(message[3]) else ""
        answer.demand = (message[1], node)
    elif name in ("host_reply", "host_stream", "host_progress") and len(message) > 1 and _is_id(message[1]):
        answer.call = message[1]
    elif name in ("open", "update", "decide", "close", "query", "part") and len(message) > 1 and _is_id(message[1]):
        answer.req = message[1]
    return answer


def is_target(node: Any) -> bool:
    """Whether it names what may be demanded: a node, or several."""
    if node.__class__ is list:
        return 1 <= len(node) <= MAX_TARGETS and all(each.__class__ is str for each in node) and _are_different(node)
    return node.__class__ is str


def _are_different(items: list[Any]) -> bool:
    return len(set(items)) == len(items)


def _is_id(value: Any) -> bool:
    return value.__class__ is int and 0 <= value <= MAX_ID


def _id(value: Any, name: str) -> int:
    if value.__class__ is int and 0 <= value <= MAX_ID:
        return value
    raise _Wrong(f"{name}: expected an integer from 0 to 2^63 - 1, got {_shown(value)}")


def _typed(value: Any, kind: type, name: str) -> Any:
    if value.__class__ is kind:
        return value
    raise _Wrong(f"{name}: expected {_KIND_NAMES[kind]}, got {_shown(value)}")


_KIND_NAMES: Final = {int: "an integer", str: "text", dict: "a map", list: "a list", bool: "a boolean"}


class _Short(Repr):
    """`repr` that takes little time and depth, whatever it is given."""

    maxlevel, maxstring, maxother, maxlong = 2, 40, 40, 40

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write out integers of thousands of digits.
        return super().repr_int(x, level) if x.bit_length() <= 256 else f"an integer of {x.bit_length()} bits"


_SHORT: Final = _Short()


def _shown(value: Any) -> str:
    text = _SHORT.repr(value)
    return text if len(text) <= 80 else f"{text[:80]}… ({type(value).__name__})"


def _hello(message: list[Any]) -> Hello:
    _, facts = message
    _typed(facts, dict, "hello")
    return Hello(
        protocol=_typed(facts.get("protocol"), int, "hello.protocol"),
        client=_typed(facts.get("client", ""), str, "hello.client"),
        options=_typed(facts.get("options", {}), dict, "hello.options"),
    )


def _open(message: list[Any]) -> Open:
    _, req, session, graph, options = message
    for name, value in _typed(options, dict, "open.options").items():
        if name == "revision":
            _count(value, "revision")
        elif name == "answers":
            for node in _typed(value, dict, "open.options: answers"):
                _typed(node, str, "open.options: answers: node id")
        else:
            raise _Wrong(f"open.options: unknown option {_shown(name)}; known are revision, answers")
    return Open(_id(req, "req"), _id(session, "session"), _typed(graph, dict, "graph"), options)


def _update(message: list[Any]) -> Update:
    _, req, session, edits = message
    return Update(_id(req, "req"), _id(session, "session"), _typed(edits, list, "edits"))


def _close(message: list[Any]) -> Close:
    _, req, session = message
    return Close(_id(req, "req"), _id(session, "session"))


def _demand_async(message: list[Any]) -> DemandAsync:
    _, demand, session, node, options = message
    if not (
        demand.__class__ is session.__class__ is int
        and 0 <= demand <= MAX_ID
        and 0 <= session <= MAX_ID
        and (node.__class__ is str or is_target(node))
        and options.__class__ is dict
    ):
        # The same once more, to say which.
        _id(demand, "demand"), _id(session, "session"), _typed(options, dict, "demand_async.options")
        raise _Wrong(f"node: expected text or a list of 1 to {MAX_TARGETS} different texts, got {_shown(node)}")
    parsed = DemandAsync(demand, session, node)
    for name, value in options.items():
        _demand_option(parsed, name, value)
    return parsed


def _demand_option(parsed: DemandAsync, name: Any, value: Any) -> None:
    read = _DEMAND_OPTIONS.get(name)
    if read is None:
        raise _Wrong(f"demand_async: unknown option {_shown(name)}; known are {', '.join(_DEMAND_OPTIONS)}")
    setattr(parsed, name, read(value))


def _inputs(value: Any) -> dict[str, dict[str, Any]]:
    for node, ports in _typed(value, dict, "inputs").items():
        _typed(node, str, "inputs: node id")
        for port in _typed(ports, dict, f"inputs of {_shown(node)}"):
            _typed(port, str, f"inputs of {_shown(node)}: port")
    return value  # type: ignore[no-any-return]


def _stream(value: Any) -> bool | frozenset[str]:
    if value.__class__ is list:
        return frozenset(_typed(node, str, "stream: node id") for node in value)
    return _typed(value, bool, "stream")  # type: ignore[no-any-return]


def _provenance(value: Any) -> bool | dict[str, Any]:
    if value.__class__ is not bool and value.__class__ is not dict:
        raise _Wrong(f"provenance: expected a boolean or a map, got {_shown(value)}")
    return value


def _count(value: Any, name: str) -> int:
    if value.__class__ is int and 1 <= value <= MAX_ID:
        return value
    raise _Wrong(f"{name}: expected an integer of at least 1, got {_shown(value)}")


_DEMAND_OPTIONS: Final[dict[Any, Callable[[Any], Any]]] = {
    "inputs": _inputs,
    "deadline_ms": lambda value: None if value is None else _id(value, "deadline_ms"),
    "stream": _stream,
    "fresh": lambda value: _typed(value, bool, "fresh"),
    "events": lambda value: _typed(value, bool, "events"),
    "window": lambda value: None if value is None else _count(value, "window"),
    "trace": lambda value: _typed(value, bool, "trace"),
    "provenance": _provenance,
    "watch": lambda value: _typed(value, bool, "watch"),
    "wait": lambda value: _typed(value, bool, "wait"),
}


def _cancel(message: list[Any]) -> Cancel:
    _, demand = message
    return Cancel(_id(demand, "demand"))


def _grant(message: list[Any]) -> Grant:
    _, demand, chunks = message
    return Grant(_id(demand, "demand"), _count(chunks, "grant"))


def _hold(message: list[Any]) -> Hold:
    _, demand, shut = message
    return Hold(_id(demand, "demand"), _typed(shut, bool, "hold"))


def _decide(message: list[Any]) -> Decide:
    _, req, session, node, answer = message
    return Decide(_id(req, "req"), _id(session, "session"), _typed(node, str, "node"), answer)


def _host_reply(message: list[Any]) -> HostReply:
    _, call, ok, value = message
    return HostReply(_id(call, "call"), _typed(ok, bool, "ok"), value)


def _host_stream(message: list[Any]) -> HostStream:
    _, call, port, chunk = message
    return HostStream(_id(call, "call"), _typed(port, str, "port"), chunk)


def _host_progress(message: list[Any]) -> HostProgress:
    _, call, fraction, text = message
    if fraction is not None and fraction.__class__ is not float and fraction.__class__ is not int:
        raise _Wrong(f"fraction: expected a number or nil, got {_shown(fraction)}")
    if fraction.__class__ is int:
        fraction = float(min(max(fraction, 0), 1))
    return HostProgress(_id(call, "call"), fraction, _typed(text, str, "text"))


def _query(message: list[Any]) -> Query:
    _, req, what, args = message
    return Query(_id(req, "req"), _typed(what, str, "query"), _typed(args, dict, "query.args"))


def _part(message: list[Any]) -> Part:
    _, transfer, seq, last, data = message
    if data.__class__ is not bytes:
        raise _Wrong(f"part: expected bytes, got {_shown(data)}")
    return Part(_id(transfer, "transfer"), _id(seq, "seq"), _typed(last, bool, "last"), data)


def _ping(message: list[Any]) -> Ping:
    _, token = message
    return Ping(_typed(token, int, "token"))


def _credit(message: list[Any]) -> Credit:
    _, frames, size = message
    return Credit(_id(frames, "frames"), _id(size, "bytes"))


_PARSERS: Final[dict[str, Callable[[list[Any]], Message]]] = {
    "hello": _hello,
    "open": _open,
    "update": _update,
    "close": _close,
    "demand_async": _demand_async,
    "cancel": _cancel,
    "grant": _grant,
    "hold": _hold,
    "decide": _decide,
    "host_reply": _host_reply,
    "host_stream": _host_stream,
    "host_progress": _host_progress,
    "query": _query,
    "part": _part,
    "ping": _ping,
    "credit": _credit,
}
_ARITY: Final = {
    "hello": 1,
    "open": 4,
    "update": 3,
    "close": 2,
    "demand_async": 4,
    "cancel": 1,
    "grant": 2,
    "hold": 2,
    "decide": 4,
    "host_reply": 3,
    "host_stream": 3,
    "host_progress": 3,
    "query": 3,
    "part": 4,
    "ping": 1,
    "credit": 2,
}
