"""What watches tell on the way out: of each the latest waits, and what it replaces is dropped.

A part of the outbox, apart from it since no other demand has any of this. Called by the evaluator through `Outbox`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import GraphportError, WireError
from graphport.server.faults import fault, naming
from graphport.wire import messages
from graphport.wire.limits import MAX_VALUE_BYTES, PART_BYTES

if TYPE_CHECKING:
    from graphport.contracts.sink import Target
    from graphport.server.pending import JoinedText, Latest
    from graphport.server.window import Window

_SHOWN_NAME: Final = 1_000


class WatchAnswers:
    """The outbox's `output` and `failed`. See `contracts.sink.DemandSink`."""

    # All of them the outbox's.
    _windows: dict[int, Window]
    _long: dict[int, int]
    _last_text: dict[int, JoinedText]
    _progress: dict[int, dict[str, Latest]]

    def output(self, demand: int, node: Target, outputs: dict[str, Any], meta: dict[str, Any], *, alone: bool) -> None:
        """See `DemandSink.output`."""
        try:
            packed = messages.node_output(demand, node, outputs, meta)
            if len(packed) > MAX_VALUE_BYTES:
                text = f"the outputs take {len(packed)} bytes; at most {MAX_VALUE_BYTES} travel in one message"
                raise WireError(text, code="too_large")
        except WireError as error:
            self.failed(demand, node, naming(error, node, outputs), alone=alone)
            return
        self._tell(demand, packed, alone=alone)

    def failed(self, demand: int, node: Target, error: GraphportError, *, alone: bool) -> None:
        """See `DemandSink.failed`."""
        packed = messages.node_failed(demand, node, fault(error))
        if len(packed) > PART_BYTES:  # only names of such a length can do that
            packed = messages.node_failed(demand, str(node)[:_SHOWN_NAME], fault(error))
        self._tell(demand, packed, alone=alone)

    def _tell(self, demand: int, packed: bytes, *, alone: bool) -> None:
        window = self._windows.get(demand)
        if window is not None:
            window.put_output(packed)
            self._release(demand, window)
            return
        self._last_text.pop(demand, None)
        if alone and len(packed) <= PART_BYTES and demand not in self._long:
            # Like progress, of a node that no node can be.
            self._tell_progress(demand, "", packed, None)
        else:
            self.send_about(demand, packed)

    def send_about(self, number: int, packed: bytes) -> None:
        """Queue a packed message about a demand."""
        raise NotImplementedError

    def _release(self, demand: int, window: Window) -> None:
        raise NotImplementedError

    def _tell_progress(self, demand: int, node: str, packed: bytes, window: Window | None) -> None:
        raise NotImplementedError
