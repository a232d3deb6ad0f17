"""Loads and edits large graphs, and writes them down, on a thread of its own, so that the event loop goes on meanwhile.

Small ones are loaded where they come, which is sooner. Must not touch sessions: what was loaded is handed back on the
loop. Called by `connection` and `updating`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import queue
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

from graphport.core.errors import GraphportError, InternalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.graph.compile import CompiledGraph

    Loaded = CompiledGraph | GraphportError

_Made = TypeVar("_Made")

_log = logging.getLogger("graphport.loading")

# Nodes and edges that are loaded in less than the ten milliseconds which others may be kept waiting.
_SMALL: Final = 200
# Ids that a reply names of each kind.
NAMED_MOST: Final = 1_000


def is_small(graph: dict[str, Any]) -> bool:
    """Whether the graph may be loaded on the loop."""
    inner = graph.get("graph", graph)
    # In these shapes a graph may be larger than its lists are long.
    if isinstance(inner, dict) and not inner.keys().isdisjoint(("tasks", "dataflows", "groups")):
        return False
    parts = (inner.get("nodes"), inner.get("edges")) if isinstance(inner, dict) else ()
    return sum(len(part) for part in parts if isinstance(part, list | dict)) <= _SMALL


class GraphLoader:
    """One thread that loads, or edits, one graph after the other. Asked on the loop's thread."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._started = False

    def load(self, load: Callable[[], _Made], done: Callable[[_Made | GraphportError], None]) -> None:
        """Call `load` on the thread, and `done` on the loop with what it returns or raises."""
        loop = asyncio.get_running_loop()
        self._work.put(lambda: _load(loop, load, done))
        if not self._started:
            self._started = True
            # A daemon: a graph that is being loaded does not keep the engine alive.
            threading.Thread(target=self._serve, name="graphport-loader", daemon=True).start()

    def _serve(self) -> None:
        while True:
            self._work.get()()


def _load(
    loop: asyncio.AbstractEventLoop, load: Callable[[], _Made], done: Callable[[_Made | GraphportError], None]
) -> None:
    loaded: _Made | GraphportError
    # Half a million new objects would have it look at all of them again and again, and everybody waits while it does.
    gc.disable()
    try:
        loaded = load()
    except GraphportError as error:
        loaded = error
    except Exception as error:  # the session's border, as on the loop
        _log.exception("a graph could not be dealt with")
        loaded = InternalError(f"the graph could not be dealt with: {type(error).__name__}; the log says where")
    finally:
        gc.freeze()  # else the next little collection would look at all of them
        gc.enable()
    with contextlib.suppress(RuntimeError):  # the loop has closed
        loop.call_soon_threadsafe(done, loaded)
