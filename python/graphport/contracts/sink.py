"""Where the evaluator puts its answers. Implemented by `server` over the pipe and by `graphport.testing` in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from graphport.core.errors import GraphportError


class DemandSink(Protocol):
    """Takes what demands produce. Every method runs on the event loop's thread and must not block.

    For one demand the evaluator calls `chunk` any number of times, then exactly one of `complete` and `fail`, then
    nothing.
    """

    def complete(self, demand: int, node: str, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        """The node's outputs. A value that cannot travel turns the answer into an error; nothing is raised."""

    def fail(self, demand: int, node: str, error: GraphportError) -> None:
        """The demand ended without outputs."""

    def chunk(self, demand: int, node: str, port: str, chunk: Any) -> None:
        """A piece of a streamed output.

        Raises:
            WireError: `unencodable_value` if the chunk has no form on the wire; it was not sent.
        """

    @property
    def congested(self) -> bool:
        """True while so much waits to be sent that streaming nodes should be held back."""

    async def uncongested(self) -> None:
        """Return once `congested` is false."""
