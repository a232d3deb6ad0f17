"""The functions that the BEAM calls. Checks what it is given, hands it to the loop's thread, and returns `ok`.

Must not block: the caller is ErlPort's main thread, and every other call waits behind it. See `README.md` for the
payloads. What is wrong with a payload raises here, and so in the process that made the call.
"""

from __future__ import annotations

import signal
import sys
from concurrent.futures import Future
from typing import Any, Final

from graphport.app.engine import Composition
from graphport.core.errors import GraphportError, InternalError, WireError
from graphport.erlport.direct import Door
from graphport.erlport.library import Library, load_library
from graphport.erlport.thread import LoopThread
from graphport.server.descriptors import capture_output, silence
from graphport.server.handover import HandoverTransport
from graphport.server.watch import watch_hang_up
from graphport.wire import messages
from graphport.wire.codec import pack, unpack
from graphport.wire.parse import parse_frame

_MAX_NAME_BYTES: Final = 255


class _Use:
    """How this process is used: not yet, directly, or served."""

    def __init__(self) -> None:
        self.door: Door | None = None
        self.served = False

    @property
    def taken(self) -> bool:
        return self.served or self.door is not None


_use = _Use()


def serve(owner: Any, tag: Any, node_modules: Any) -> Any:
    """Give the process to the Elixir library, which sends frames with `python:cast` and gets `{tag, {data, frame}}`.

    Args:
        owner: the pid that frames are sent to.
        tag: any term.
        node_modules: names of modules of node types, as binaries.

    Raises:
        InternalError: the process is in use already.
    """
    library = load_library()
    _free()
    modules = [_text(name) for name in node_modules]
    wire = library.take_wire()
    _use.served = True
    from graphport.process.forks import end_forks_with_us
    from graphport.process.parent_death import set_parent_death_signal
    from graphport.server.serve import converse

    set_parent_death_signal()
    end_forks_with_us()
    signal.signal(signal.SIGINT, lambda *_: None)  # as for the first door: the BEAM decides what Ctrl-C means
    sys.setswitchinterval(0.0005)
    silence([0])
    captured = capture_output()
    watch_hang_up(wire.read)

    composition = Composition(modules)
    data = library.atom("data")
    thread = LoopThread(lambda: transport.end())
    transport = HandoverTransport(thread.loop, lambda frame: library.erlang.cast(owner, (tag, (data, frame))))

    def handler(frame: Any) -> None:
        if type(frame) is bytes:  # ErlPort passes on whatever else its process is sent
            transport.hand_over(frame)

    thread.run(lambda: converse(transport, captured, start=composition.start, stop=composition.stop))
    library.erlang.set_message_handler(handler)
    return library.atom("ok")


def start(payload: Any) -> Any:
    """Start the engine for direct use. Optional: the first `open` does it too, without modules of one's own.

    Args:
        payload: `{"nodes": [module, …]}`.

    Raises:
        LookupFailed: `invalid_nodes`.
        WireError: the payload is not as described.
    """
    options = _options(payload, {"nodes"})
    nodes = options.get("nodes", [])
    if not isinstance(nodes, list) or not all(isinstance(name, str) for name in nodes):
        raise WireError("`nodes` is a list of names of Python modules")
    library = load_library()
    _free()
    _start(library, nodes)
    return library.atom("ok")


def open(owner: Any, payload: Any) -> Any:
    """Load a graph. `owner` gets `{open_complete, session, facts}` or `{open_error, session, error}`.

    Args:
        owner: a pid.
        payload: `{"session": number, "graph": graph}`.

    Raises:
        WireError: the payload is not as described.
    """
    options = _options(payload, {"session", "graph"})
    message = _checked(["open", 1, options.get("session"), options.get("graph"), {}])
    library, door = _door()
    door.hand_over(door.open, owner, message)
    return library.atom("ok")


def demand_async(owner: Any, payload: Any) -> Any:
    """Demand a node. `owner` gets the same tuples as with the Elixir library, their last element as MessagePack.

    Args:
        owner: a pid.
        payload: `{"session": number, "node": node}` and, each if wanted, `demand` (a number or text to cancel it by),
            `inputs`, `deadline_ms`, `stream`, `fresh`, `events` as in the protocol.

    Raises:
        WireError: the payload is not as described.
    """
    options = _options(payload, {"session", "node", "demand", "inputs", "deadline_ms", "stream", "fresh", "events"})
    name = _name(options.pop("demand")) if "demand" in options else None
    session, node = options.pop("session", None), options.pop("node", None)
    message = _checked(["demand_async", 1, session, node, options])
    library, door = _door()
    door.hand_over(door.demand, owner, name, message)
    return library.atom("ok")


def cancel(payload: Any) -> Any:
    """Stop a demand, which is then answered `cancelled`; one that is not open is ignored.

    Args:
        payload: `{"demand": its number or text}`.

    Raises:
        WireError: the payload is not as described.
    """
    name = _name(_options(payload, {"demand"}).get("demand"))
    library, door = _door()
    door.hand_over(door.cancel, name)
    return library.atom("ok")


def close(payload: Any) -> Any:
    """Forget a session; its open demands are answered `cancelled`.

    Args:
        payload: `{"session": number}`.

    Raises:
        WireError: the payload is not as described.
    """
    message = _checked(["close", 1, _options(payload, {"session"}).get("session")])
    library, door = _door()
    door.hand_over(door.close, message.session)
    return library.atom("ok")


def _free() -> None:
    if _use.taken:
        raise InternalError("this Python process is in use already; start another one with python:start")


def _door() -> tuple[Library, Door]:
    library = load_library()
    if _use.door is None:
        _free()
        _start(library, [])
    assert _use.door is not None
    return library, _use.door


def _start(library: Library, node_modules: list[str]) -> None:
    library.take_wire()
    thread = LoopThread(lambda: door.end())
    door = Door(thread.loop, library, Composition(node_modules))
    started: Future[GraphportError | None] = Future()
    thread.run(lambda: door.run(started.set_result))
    error = started.result()
    if error is not None:
        raise error
    sys.setswitchinterval(0.0005)
    _use.door = door


def _options(payload: Any, known: set[str]) -> dict[str, Any]:
    if type(payload) is not bytes:
        raise WireError("a payload is a binary of MessagePack")
    options = unpack(payload)
    if not isinstance(options, dict):
        raise WireError("a payload is a MessagePack map")
    unknown = sorted(str(name) for name in options if name not in known)
    if unknown:
        raise WireError(f"unknown option {unknown[0]!r}; known are {', '.join(sorted(known))}")
    return options


def _checked(message: list[Any]) -> Any:
    (parsed,) = parse_frame(pack(message))
    if isinstance(parsed, messages.Malformed):
        raise parsed.error
    return parsed


def _name(value: Any) -> int | str:
    if type(value) is int or (type(value) is str and len(value) <= _MAX_NAME_BYTES):
        return value
    raise WireError("`demand` is a number or a short text")


def _text(value: Any) -> str:
    if type(value) is bytes:
        return value.decode()
    raise WireError("names of modules are binaries")
