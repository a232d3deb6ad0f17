"""Runs one engine on the current event loop until its pipe ends. Called by `app.engine` and `graphport.erlport`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from graphport.server.collecting import IdleCollections
from graphport.server.connection import EXIT_CLEAN, Connection
from graphport.server.logs import LogCapture, LogOutlet
from graphport.server.outbox import Outbox
from graphport.server.transport import PipeTransport, ThreadTransport
from graphport.server.watch import end_soon, watch_hang_up

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from graphport.contracts.sink import DemandSink
    from graphport.demand.evaluator import Evaluator
    from graphport.server.descriptors import CapturedFds, WireFds
    from graphport.server.loop import LastWords
    from graphport.server.transport import Transport

_log = logging.getLogger("graphport.server")


async def serve(
    wire: WireFds,
    captured: CapturedFds,
    *,
    stdio: bool,
    start: Callable[[DemandSink, dict[str, Any]], Evaluator],
    stop: Callable[[], Awaitable[None]],
    last_words: LastWords | None = None,
) -> int:
    """Speak the protocol on `wire` until it ends.

    Args:
        wire: from `descriptors.take_wire`.
        captured: from `descriptors.capture_output`.
        stdio: the wire is standard input and output.
        start: called at `hello` with the sink and the client's options; returns the evaluator.
        stop: called at the end, to stop what the evaluator's services have started.
        last_words: is given the way to send them.

    Returns:
        The exit status for the process.
    """
    loop = asyncio.get_running_loop()
    if stdio:
        transport: PipeTransport | ThreadTransport = ThreadTransport(loop, wire, at_end=end_soon)
    else:
        watch_hang_up(wire.read)
        transport = PipeTransport(loop, wire)
    if last_words is not None:
        last_words.drain = transport.drain
    return await converse(transport, captured, start=start, stop=stop, last_words=last_words)


async def converse(
    transport: Transport,
    captured: CapturedFds,
    *,
    start: Callable[[DemandSink, dict[str, Any]], Evaluator],
    stop: Callable[[], Awaitable[None]],
    last_words: LastWords | None = None,
) -> int:
    """Speak the protocol over a transport that has not been started, until it ends. See `serve`."""
    loop = asyncio.get_running_loop()
    _end_forks_of(loop)
    outbox = Outbox(loop, transport)
    logs = LogCapture(loop, LogOutlet(loop, outbox), captured)
    status: asyncio.Future[int] = loop.create_future()
    evaluators: list[Evaluator] = []

    def started(options: dict[str, Any]) -> Evaluator:
        evaluator = start(outbox, options)
        evaluators.append(evaluator)
        return evaluator

    def ended(code: int) -> None:
        if not status.done():
            status.set_result(code)

    connection = Connection(outbox, started, ended)
    transport.start(connection.received, connection.ended)
    if last_words is not None:
        last_words.say = connection.give_up
    with IdleCollections(loop, lambda: not any(evaluator.runs for evaluator in evaluators)):
        code = await _over(status)
    logs.finish()
    for evaluator in evaluators:
        await evaluator.close()
    await stop()
    if code != EXIT_CLEAN:
        await _drained(transport)
    return code


async def _over(status: asyncio.Future[int]) -> int:
    """The exit status, once there is one. A node that cancels whatever task it finds does not end the engine."""
    while not status.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(status)
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
    return status.result()


def _end_forks_of(loop: asyncio.AbstractEventLoop) -> None:
    """A child that a node forked on the loop's thread must not go on as a second engine when the node returns."""
    thread = threading.get_ident()

    def in_child() -> None:
        if threading.get_ident() == thread and loop.is_running():
            loop.call_soon(os._exit, 0)

    os.register_at_fork(after_in_child=in_child)


async def _drained(transport: Transport) -> None:
    """Let the last words out, for as long as the other side reads, at most a second."""
    for _ in range(100):
        if not transport.backlog:
            return
        await asyncio.sleep(0.01)
