"""Where the evaluator puts its answers. Implemented by `server` over the pipe and by `graphport.testing` in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphport.core.errors import GraphportError

    Target = str | list[str]


# Characters of one piece of a text that is sent again: at most 64 KiB of UTF-8.
REPLAY_CHARACTERS: Final = 16_384


class PlainAnswers:
    """For sinks that gain nothing by making answers ready, that keep nothing back, and that nobody watches."""

    def degraded(self, stuck: int, reason: str) -> None:
        """See `DemandSink.degraded`. The log says it too."""

    def prepare(self, node: str, outputs: dict[str, Any], meta: dict[str, Any]) -> None:
        """See `DemandSink.prepare`."""

    def complete_prepared(self, demand: int, prepared: Any, us: int) -> None:
        """Never called, for nothing is prepared."""
        raise NotImplementedError

    def chunk(self, demand: int, node: str, port: str, chunk: Any) -> bool:
        """See `DemandSink.chunk`."""
        raise NotImplementedError

    def replay(self, demand: int, node: str, chunks: Sequence[tuple[str, Any]]) -> None:
        """See `DemandSink.replay`. All of it is sent at once."""
        for port, chunk in chunks:
            if type(chunk) is str:
                for start in range(0, len(chunk), REPLAY_CHARACTERS):
                    self.chunk(demand, node, port, chunk[start : start + REPLAY_CHARACTERS])
            else:
                self.chunk(demand, node, port, chunk)

    def holds(self, _demand: int) -> bool:
        """See `DemandSink.holds`."""
        return False

    def output(self, demand: int, node: Target, outputs: dict[str, Any], meta: dict[str, Any], *, alone: bool) -> None:
        """Never called, for nobody watches."""
        raise NotImplementedError

    def failed(self, demand: int, node: Target, error: GraphportError, *, alone: bool) -> None:
        """Never called, for nobody watches."""
        raise NotImplementedError

    def ends_by(self, demand: int, node: Target, when: float, error: GraphportError) -> None:
        """Never called, for nothing is held."""
        raise NotImplementedError


class DemandSink(Protocol):
    """Takes what demands produce. Every method runs on the event loop's thread and must not block.

    For one demand the evaluator calls `chunk`, `replay` and `event` any number of times, then exactly one of `complete`
    and `fail`, then at most `ends_by`; for a watch `output` and `failed` too, and of the last ones always `fail`. Both,
    like `output` and `failed`, name what was demanded: a node, several, or `"*"`.
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

    def output(self, demand: int, node: Target, outputs: dict[str, Any], meta: dict[str, Any], *, alone: bool) -> None:
        """New outputs of a watch, which goes on; what still waits to be sent of those before may be dropped for them.

        Args:
            demand: its number.
            node: what is watched.
            outputs: as of `complete`. Those that cannot travel are told as `failed`; nothing is raised.
            meta: as of `complete`.
            alone: of this watch there are no chunks and no events, between which the outputs have a place.
        """

    def failed(self, demand: int, node: Target, error: GraphportError, *, alone: bool) -> None:
        """A watch could not be evaluated, and goes on. Else like `output`, in whose place it may come."""

    def chunk(self, demand: int, node: str, port: str, chunk: Any) -> bool:
        """A piece of a streamed output.

        Returns:
            `behind(demand)`.

        Raises:
            WireError: `unencodable_value` if the chunk has no form on the wire; it was not sent.
        """

    def replay(self, demand: int, node: str, chunks: Sequence[tuple[str, Any]]) -> None:
        """A stream that was kept with a cached result, joined, is sent again, as fast as the receiver takes it.

        Args:
            demand: who receives it.
            node: whose it was.
            chunks: `(port, chunk)` in order. They are kept until they are sent, and must not change.

        Raises:
            WireError: as `chunk` does; nothing was sent.
        """

    def holds(self, demand: int) -> bool:
        """Whether the last message of a demand, or a part of it, still waits to be sent."""

    def ends_by(self, demand: int, node: Target, when: float, error: GraphportError) -> None:
        """If the last message of a demand, which `holds`, still waits at the deadline, it is `error` instead.

        Args:
            demand: its number.
            node: what was demanded.
            when: by the event loop's clock.
            error: what to answer then. What waits of the demand is dropped.
        """

    def event(self, demand: int, node: str, event: dict[str, Any]) -> None:
        """What becomes of a node, as the protocol's `node_event` has it."""

    def degraded(self, stuck: int, reason: str) -> None:
        """So many cancelled executions do not end that the engine should be replaced. Told once; the engine goes on."""

    def behind(self, demand: int) -> bool:
        """Whether so much waits to be sent, for the demand or altogether, that nodes it streams should be held back."""

    async def caught_up(self, demand: int) -> None:
        """Return when `behind(demand)` may have changed."""
