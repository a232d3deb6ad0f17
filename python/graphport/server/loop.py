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
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

# Exit status of an engine whose loop cannot go on.
EXIT_BROKEN: Final = 70
_FIRST_PRIVATE_FD: Final = 10
# A loop that is interrupted more often than this within a second makes no headway.
_MOST_ESCAPES: Final = 20

_log = logging.getLogger("graphport.loop")


class LastWords:
    """How to tell the other side why the engine ends, once there is somebody to tell.

    Attributes:
        say: takes the reason as a text; sends it at once or not at all.
    """

    def __init__(self) -> None:
        self.say: Callable[[str], None] = _nobody


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop: uvloop's if it is installed."""
    with _low_fds_taken():
        try:
            import uvloop
        except ImportError:
            loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
            # Tools that freeze time for a test replace `time.monotonic`, which the loop looks up at each turn.
            setattr(loop, "time", monotonic)  # noqa: B010 - a method is not to be assigned to
        else:
            loop = uvloop.new_event_loop()
    return loop


@contextlib.contextmanager
def _low_fds_taken() -> Iterator[None]:
    """Meanwhile nothing gets an fd that careless code is likely to close."""
    taken = [os.open(os.devnull, os.O_RDONLY)]
    while taken[-1] < _FIRST_PRIVATE_FD:
        taken.append(os.open(os.devnull, os.O_RDONLY))
    try:
        yield
    finally:
        for fd in taken:
            os.close(fd)


def run_to_its_end(
    loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, int], last_words: LastWords | None = None
) -> int:
    """Run the loop until `main` returns, and over whatever else would end it before that.

    Returns:
        What `main` returned, or `EXIT_BROKEN` if the loop cannot go on.
    """
    task = loop.create_task(main)
    escapes: list[float] = []
    while True:
        try:
            return loop.run_until_complete(task)
        except BaseException as escaped:  # the loop's border: what one node throws is nobody else's
            if task.done():
                raise
            now = monotonic()
            escapes = [*(then for then in escapes if now - then < 1), now]
            if loop.is_closed() or len(escapes) > _MOST_ESCAPES:
                _say(last_words, escaped)
                return EXIT_BROKEN
            with contextlib.suppress(Exception):
                _log.error("a node interrupted the engine's loop, which goes on", exc_info=escaped)


def _say(last_words: LastWords | None, escaped: BaseException) -> None:
    if last_words is not None:
        with contextlib.suppress(Exception):
            last_words.say(f"the engine's event loop cannot go on: {type(escaped).__name__}")


def _nobody(_reason: str) -> None:
    return
