"""The same demand again: one that asks for what another has asked for is known by its bytes, and not read anew.

Two messages that differ in nothing but the demand's number say the same. What the answer is, and whether it is in the
cache still, is asked of the evaluator each time. Must not refuse anything: whatever is not as usual goes the usual way.
Called by `connection` for each frame.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from graphport.graph.compile import ALL_SINKS
from graphport.wire.limits import MAX_ID
from graphport.wire.messages import DemandAsync
from graphport.wire.parse import DEMAND_HEAD, DEMAND_NUMBER, DEMAND_REST

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.demand.evaluator import Evaluator
    from graphport.wire.messages import Message

# Of longer demands nothing is kept, nor of more different ones than that: each session, node and deadline is another.
_LONGEST_BYTES: Final = 128
_MOST: Final = 4_096

_log = logging.getLogger("graphport.repeats")


class Repeats:
    """What was asked for, by the bytes that asked.

    Args:
        evaluator: has the cache.
        is_open: whether a demand of that number is open.
        is_busy: whether a demand for a session must wait for what came before it.
    """

    __slots__ = ("_evaluator", "_is_busy", "_is_open", "_known")

    def __init__(self, evaluator: Evaluator, is_open: Callable[[int], bool], is_busy: Callable[[int], bool]) -> None:
        self._evaluator = evaluator
        self._is_open = is_open
        self._is_busy = is_busy
        self._known: dict[bytes, tuple[int, str, bool | frozenset[str], int | None]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, payload: bytes) -> bool:
        """Whether what this frame asks for was asked before."""
        return payload[DEMAND_REST] in self._known

    def note(self, payload: bytes | memoryview, message: Message) -> None:
        """Remember what this frame, which holds that message alone, asks for."""
        if (
            message.__class__ is not DemandAsync
            or not isinstance(payload, bytes)
            or len(payload) > _LONGEST_BYTES
            or not payload.startswith(DEMAND_HEAD)
            or not _is_plain(message)
        ):
            return
        rest = payload[DEMAND_REST]
        if rest not in self._known:
            if len(self._known) >= _MOST:
                del self._known[next(iter(self._known))]
            self._known[rest] = (message.session, message.node, message.stream, message.deadline_ms)  # type: ignore[assignment]

    def answer(self, payload: bytes | memoryview) -> bool:
        """Answer the demand in this frame from the cache, if it is one asked before; returns whether it was."""
        # Views are long, and hashing what is long takes more than reading it.
        if not isinstance(payload, bytes) or len(payload) > _LONGEST_BYTES or not payload.startswith(DEMAND_HEAD):
            return False
        known = self._known.get(payload[DEMAND_REST])
        if known is None:
            return False
        demand = int.from_bytes(payload[DEMAND_NUMBER], "big")
        if demand > MAX_ID or self._is_open(demand) or self._is_busy(known[0]):
            return False
        try:
            return self._evaluator.answer_again(demand, *known)
        except Exception:  # the session's border, as for a demand that is read: the usual way follows
            _log.exception("a demand asked before could not be answered from the cache")
            return False


def _is_plain(message: DemandAsync) -> bool:
    """Whether it asks for one node, and for nothing that takes more than the cache."""
    return (
        message.node.__class__ is str
        and message.node != ALL_SINKS
        and not (message.inputs or message.fresh or message.events or message.trace or message.watch)
        and message.window is None
        and message.provenance is False
    )
