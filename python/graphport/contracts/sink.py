"""Where the evaluator puts its answers. Implemented by `server` over the pipe and by `graphport.testing` in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from graphport.core.errors import GraphportError

    Target = str | list[str]


class PlainAnswers:
    """For sinks that gain nothing by making answers ready, and that nobody watches."""

    def degraded(self, stuck: int, reason: str) -> None:
        """See `DemandSink.degraded`. The log says it too."""

    def prepare(self, node: str, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        """See `DemandSink.prepare`."""

    def complete_prepared(self, demand: int, prepared: Any, us: int) -> None:
        """Never called, for nothing is prepared."""
        raise NotImplementedError


class DemandSink(Protocol):
    """Takes what demands produce. Every method runs on the event loop's thread and must not block.

    For one demand the evaluator calls `chunk` and `event` any number of times, then exactly one of `complete` and
    `fail`, then nothing. `complete` and `fail` name what was demanded: a node, several, or `"*"`.
    """

    def complete(self, demand: int, node: Target, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        """The outputs: of a node port to value, of several node to port to value.

        A value that cannot travel turns the answer into an error; nothing is raised.
        """

    def prepare(self, node: str, outputs: dict[str, Any], meta: dict[str, Any]) -> Any:
        """Make an answer ready that will be given again and again.

        Returns:
            What `complete_prepared` takes; None if that is not worth while, as for large outputs.
        """

    def complete_prepared(self, demand: int, prepared: Any, us: int) -> None:
        """Like `complete`, with an answer that was made ready, and `us` in its `meta`."""

    def fail(self, demand: int, node: Target, error: GraphportError) -> None:
        """The demand ended without outputs."""

    def chunk(self, demand: int, node: str, port: str, chunk: Any) -> bool:
        """A piece of a streamed output.

        Returns:
            `behind(demand)`.

        Raises:
            WireError: `unencodable_value` if the chunk has no form on the wire; it was not sent.
        """

    def event(self, demand: int, node: str, event: dict[str, Any]) -> None:
        """What becomes of a node, as the protocol's `node_event` has it."""

    def degraded(self, stuck: int, reason: str) -> None:
        """So many cancelled executions do not end that the engine should be replaced. Told once; the engine goes on."""

    def behind(self, demand: int) -> bool:
        """Whether so much waits to be sent, for the demand or altogether, that nodes it streams should be held back."""

    async def caught_up(self, demand: int) -> None:
        """Return when `behind(demand)` may have changed."""
