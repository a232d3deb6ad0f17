"""Run contexts that write down what a node does, to test nodes without an engine."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from graphport.core.errors import DemandStopped, GraphportError, NodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from graphport.contracts.inner_graph import InnerGraph


class _Recording:
    """What both contexts have.

    Attributes:
        node_id: id the node sees.
        node_type: type the node sees.
        cancelled: set it to True to play a demand that nobody waits for any more.
        chunks: `(port, chunk)` pairs in the order in which the node sent them.
        told: `(fraction, text)` pairs of the node's `progress`.
        log: a logger, for `caplog` to look at.
    """

    def __init__(
        self,
        *,
        node_id: str = "node",
        node_type: str = "test",
        services: Mapping[str, Any] | None = None,
        streams: Iterable[str] | None = None,
    ) -> None:
        """Make a context.

        Args:
            node_id: id of the running node.
            node_type: type of the running node.
            services: what `service` finds.
            streams: the ports that may be streamed; None lets all.
        """
        self.node_id = node_id
        self.node_type = node_type
        self.cancelled = False
        self.chunks: list[tuple[str, Any]] = []
        self.told: list[tuple[float | None, str]] = []
        self.log = logging.getLogger(f"graphport.node.{node_type}")
        self._services = dict(services or {})
        self._streams = None if streams is None else frozenset(streams)

    def service(self, name: str) -> Any:
        """The service of that name.

        Raises:
            GraphportError: `backend_unavailable` if the test gave none.
        """
        if name not in self._services:
            raise GraphportError(f"There is no service {name!r}.", code="backend_unavailable", node_id=self.node_id)
        return self._services[name]

    def text(self, port: str | None = None) -> str:
        """All streamed chunks joined, or those of one port."""
        return "".join(str(chunk) for name, chunk in self.chunks if port in (None, name))

    def progress(self, fraction: float | None = None, text: str = "") -> None:
        """Write down how far the node says it is."""
        self.told.append((fraction, text))

    def _record(self, port: str, chunk: Any) -> None:
        if self._streams is not None and port not in self._streams:
            raise NodeError(
                f"{self.node_type} declares no streamed output {port!r}.",
                code="undeclared_output",
                node_id=self.node_id,
            )
        self.chunks.append((port, chunk))


class RecordingContext(_Recording):
    """Stands in for the context of `async` and `inline` nodes.

    Attributes:
        evaluated: `(inputs, label)` of every graph that the node had evaluated.
        evaluates: stands in for those graphs: gives the outputs for inputs.
    """

    def __init__(self, **facts: Any) -> None:
        super().__init__(**facts)
        self.evaluated: list[tuple[dict[str, Any], str]] = []
        self.evaluates: Callable[[dict[str, Any]], dict[str, Any]] = dict

    async def evaluate(
        self,
        graph: InnerGraph | Mapping[str, Any],
        inputs: Mapping[str, Any] | None = None,
        *,
        targets: Sequence[str] | None = None,
        label: str = "",
        seed: int | None = None,
    ) -> dict[str, Any]:
        """Write the inputs down, and give what `evaluates` makes of them."""
        self.evaluated.append((dict(inputs or {}), label))
        return self.evaluates(dict(inputs or {}))

    async def stream(self, port: str, chunk: Any) -> None:
        """Write the chunk down."""
        self._record(port, chunk)


class RecordingThreadContext(_Recording):
    """Stands in for the context of `thread` nodes."""

    def stream(self, port: str, chunk: Any) -> None:
        """Write the chunk down."""
        self.check_cancelled()
        self._record(port, chunk)

    def check_cancelled(self) -> None:
        """Raise `DemandStopped` if `cancelled` was set."""
        if self.cancelled:
            raise DemandStopped("nobody waits for this node any more", code="cancelled")
