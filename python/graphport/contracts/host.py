"""What the evaluator asks of the host, the BEAM that started this engine: to run nodes of the types it has declared.

Implemented by `server.host_calls`; an evaluator without a host has no such types. Must not know the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from graphport.contracts.run_context import RunContext


class HostCaller(Protocol):
    """Runs nodes in the host. On the event loop's thread."""

    async def call(self, demand: int, inputs: dict[str, Any], context: RunContext) -> dict[str, Any]:
        """Run one node and return its outputs, which are not checked.

        Chunks and progress are told to `context` as they come; while that makes a chunk wait, the host is held back. A
        cancel of the calling task ends the host's work too.

        Args:
            demand: the number of a demand that waits for it.
            inputs: port to value. Not kept.
            context: of the node.

        Raises:
            WireError: `unencodable_value` or `too_large` for inputs that cannot travel.
            NodeError: what the host answered: `host_node_failed`, or the code that the node gave.
        """
