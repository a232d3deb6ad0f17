"""What a running node may ask of the engine: streaming, logging, services. Nodes reach them through this alone.

Implemented by `demand`; a double for tests lives in `graphport.testing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping, Sequence

    from graphport.contracts.inner_graph import InnerGraph


class _Common(Protocol):
    @property
    def node_id(self) -> str:
        """Id of the running node in its graph."""

    @property
    def node_type(self) -> str:
        """Type of the running node."""

    @property
    def cancelled(self) -> bool:
        """True once nobody waits for the result any more. Long work in threads should look and return early."""

    @property
    def log(self) -> logging.Logger:
        """A logger whose records reach the BEAM's Logger with the node's id."""

    def service(self, name: str) -> Any:
        """The service the app injected under that name.

        Raises:
            GraphportError: `backend_unavailable` if there is none of that name.
        """


class RunContext(_Common, Protocol):
    """Given to `async` and `inline` nodes. All methods run on the event loop's thread."""

    async def stream(self, port: str, chunk: Any) -> None:
        """Send a chunk of a streamed output to every demand that listens.

        Waits, without blocking the loop, while the receiver is slow. An empty text is not sent. An `inline` node cannot
        wait, and so cannot stream.

        Raises:
            NodeError: `undeclared_output` if the spec does not declare the port as streamed.
        """

    async def evaluate(
        self,
        graph: InnerGraph | Mapping[str, Any],
        inputs: Mapping[str, Any] | None = None,
        *,
        targets: Sequence[str] | None = None,
        label: str = "",
        seed: int | None = None,
    ) -> dict[str, Any]:
        """Evaluate a graph within this node, and wait for it.

        It shares the cache and what is under way with everything else in the engine, ends when nobody waits for this
        node any more, and streams to the demands that wait for it, under paths: `node/label/inner`.

        Args:
            graph: what the node holds (`NodeType.inner`), or a graph as plain data, which is read and checked first.
            inputs: values for its `graph-input` nodes by the names that they declare.
            targets: ids of nodes; None for all `graph-output` nodes.
            label: tells several evaluations of one node apart in paths, such as the number of an item.
            seed: what the seeds of its nodes are drawn from.

        Returns:
            Without `targets` the value of each `graph-output` by its declared name, those behind the dead port of a
            gate left out. With them, the outputs of each target by its id.

        Raises:
            GraphInvalid: `graph` is plain data and has faults.
            LookupFailed: `unknown_node` for an input or a target that the graph does not have.
            GraphportError: a node of it failed; `node_id` is its path.
        """

    def progress(self, fraction: float | None = None, text: str = "") -> None:
        """Tell demands that asked for events how far the node is. Never waits; a slow receiver is told the latest.

        Args:
            fraction: the done part of the work, 0 to 1 (what lies outside is cut off), or None if that is not known.
            text: a few words for a person.
        """


class ThreadRunContext(_Common, Protocol):
    """Given to `thread` nodes. May be called from the node's own thread only."""

    def stream(self, port: str, chunk: Any) -> None:
        """Like `RunContext.stream`, blocking the calling thread while the receiver is slow.

        Raises:
            DemandStopped: as `check_cancelled`.
        """

    def progress(self, fraction: float | None = None, text: str = "") -> None:
        """Like `RunContext.progress`."""

    def check_cancelled(self) -> None:
        """Return while somebody waits for the result. Call it now and then in long work, so that a cancel ends it.

        Raises:
            DemandStopped: `cancelled` once nobody waits; let it through.
        """
