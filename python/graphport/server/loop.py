"""The engine's event loop: made out of reach of nodes, and run to its end whatever they throw through it.

`SystemExit` from a callback or a forgotten task, `loop.stop()`, a signal handler that raises: each ends
`run_until_complete`, and with it the demands of everybody else, if nobody calls it again. Must not know the protocol.
Called by `app.engine` and `graphport.erlport`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

# Exit status of an engine whose loop cannot go on.
EXIT_BROKEN: Final = 70
_FIRST_PRIVATE_FD: Final = 10
# Each interruption costs the handle that it came from: many nodes may do it once, but a loop interrupted for ever
# makes no headway worth the name. So many at once are borne, and so many in each second for ever.
_MOST_AT_ONCE: Final = 1_000
_MOST_A_SECOND: Final = 20
_LAST_WORDS_S: Final = 1.0

_PACKAGE: Final = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
# Where an engine with much to do is while it has nothing to do; what is interrupted there begins anew.
_AWAKE: Final = os.path.join(os.path.dirname(__file__), "awake.py")

_log = logging.getLogger("graphport.loop")


class LastWords:
    """How to tell the other side why the engine ends, once there is somebody to tell.

    Attributes:
        say: takes the reason as a text.
        drain: blocks until the wire has taken what was said, at most for so many seconds.
    """

    def __init__(self) -> None:
        self.say: Callable[[str], None] = _nobody
        self.drain: Callable[[float], None] = _nobody


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop: uvloop's if it is installed."""
    _take_low_fds()
    try:
        import uvloop
    except ImportError:
        loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
        # Tools that freeze time for a test replace `time.monotonic`, which the loop looks up at each turn.
        setattr(loop, "time", monotonic)  # noqa: B010 - a method is not to be assigned to
    else:
        loop = uvloop.new_event_loop()
    return loop


def _take_low_fds() -> None:
    """Fill the numbers that careless code is likely to close, so that the loop, now or later, gets none of them."""
    while (fd := os.open(os.devnull, os.O_RDONLY)) < _FIRST_PRIVATE_FD:
        continue
    os.close(fd)


def run_to_its_end(
    loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, int], last_words: LastWords | None = None
) -> int:
    """Run the loop until `main` returns, and over whatever else would end it before that.

    Returns:
        What `main` returned, or `EXIT_BROKEN` if the loop cannot go on.
    """
    task = loop.create_task(main)
    try:
        return _bear(loop, task)
    except BaseException as escaped:
        if task.done():
            raise
        if last_words is not None:
            _speak(last_words, f"the engine cannot go on: a node interrupted it by {type(escaped).__name__}")
        return EXIT_BROKEN


def _bear(loop: asyncio.AbstractEventLoop, task: asyncio.Task[int], clock: Callable[[], float] = monotonic) -> int:
    """What the task returns; raises what is not to be borne."""
    left, last = float(_MOST_AT_ONCE), clock()
    while True:
        try:
            return loop.run_until_complete(task)
        except BaseException as escaped:  # the loop's border: what one node throws is nobody else's
            if task.done():
                if task.cancelled() or task.exception() is not None:
                    raise
                return task.result()  # thrown in the very turn in which it returned
            now = clock()
            left, last = min(_MOST_AT_ONCE, left + (now - last) * _MOST_A_SECOND) - 1, now
            if loop.is_closed() or left < 0 or _was_ours(escaped.__traceback__):
                raise
            _log.error("a node interrupted the engine's loop, which goes on", exc_info=escaped)


def _speak(last_words: LastWords, reason: str) -> None:
    for _ in range(_MOST_AT_ONCE):
        with contextlib.suppress(BaseException):  # of a handler that was due already
            _ignore_signals()
            break
    try:
        last_words.say(reason)
    finally:
        last_words.drain(_LAST_WORDS_S)


def _ignore_signals() -> None:
    """Run no signal handler of a node any more: what interrupted the engine would interrupt its last words."""
    if threading.current_thread() is threading.main_thread():
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_IGN)


def _was_ours(trace: TracebackType | None) -> bool:
    """Whether a function of the engine was interrupted, as by a signal handler: it has left its work undone."""
    frames = []
    while trace is not None:
        frames.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    return any(name.startswith(_PACKAGE) and name != _AWAKE for name in frames[1:])


def _nobody(_what: object) -> None:
    return
