"""What running nodes see of the engine: the two implementations of the protocols in `contracts.run_context`.

Called by node code; made by `flight` and `run`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NoReturn

from graphport.core.errors import DemandStopped, InferenceError, NodeError
from graphport.demand.ready_queue import TURN_S
from graphport.demand.threads import Room
from graphport.graph.values import size_of

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from graphport.contracts.host import HostCaller
    from graphport.contracts.inner_graph import InnerGraph
    from graphport.demand.evaluator import Evaluator
    from graphport.demand.flight import Flight
    from graphport.graph.compile import CompiledNode


# Longer texts of `progress` are cut.
_WORDS_CHARACTERS: Final = 1_000


class _NodeLog(logging.LoggerAdapter[logging.Logger]):
    """Says which node logs, beside what the node itself gives as `extra`."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs


class _Context:
    __slots__ = ("_evaluator", "_flight", "_turn_ends", "node")

    def __init__(self, evaluator: Evaluator, node: CompiledNode, flight: Flight | None) -> None:
        self._evaluator = evaluator
        self.node = node
        self._flight = flight
        self._turn_ends = 0.0

    @property
    def node_id(self) -> str:
        return self.node.id

    @property
    def node_type(self) -> str:
        return self.node.type.spec.type

    @property
    def cancelled(self) -> bool:
        return self._flight is not None and self._flight.cancelled

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        logger = logging.getLogger(f"graphport.node.{self.node_type}")
        return _NodeLog(logger, {"graphport": {"node_id": self.node_id}})

    def service(self, name: str) -> Any:
        try:
            return self._evaluator.services[name]
        except KeyError:
            known = ", ".join(sorted(self._evaluator.services)) or "none"
            raise InferenceError(
                f"the node asks for the service {name!r}, which this engine does not have; it has: {known}",
                code="backend_unavailable",
            ) from None

    def attach(self, flight: Flight) -> None:
        """The node has suspended: from now on its execution is a flight."""
        self._flight = flight

    def _refuse_stream(self, port: str) -> NoReturn:
        streamed = ", ".join(p.name for p in self.node.type.spec.outputs if p.stream) or "none"
        raise NodeError(
            f"the node streams to {port!r}, which it does not declare as streamed; declared: {streamed}",
            code="undeclared_output",
        )


def _share(fraction: float | None) -> float | None:
    """A number from 0 to 1. A node's sum that is a little off must not fail its work."""
    if fraction is None or not math.isfinite(fraction):
        return None
    return min(max(float(fraction), 0.0), 1.0)


def _short(text: str) -> str:
    """A few words, of which all can travel."""
    return str(text)[:_WORDS_CHARACTERS].encode("utf-8", "replace").decode()


def _nobody_waits() -> DemandStopped:
    return DemandStopped("nobody waits for this node any more", code="cancelled")


class LoopContext(_Context):
    """For `async` and `inline` nodes: `contracts.run_context.RunContext`."""

    __slots__ = ()

    @property
    def host(self) -> HostCaller | None:
        """Runs nodes of the host's types; None if this engine has no host."""
        return self._evaluator.host

    @property
    def demand(self) -> int:
        """The number of a demand that waits for the node."""
        flight = self._flight
        while flight is not None and flight.waiters:
            run = flight.waiters[0][0]
            if run.demand >= 0:
                return run.demand
            flight = run.sink.flight  # type: ignore[attr-defined]  # of the node that holds the graph
        return 0

    def progress(self, fraction: float | None = None, text: str = "") -> None:
        """See `RunContext.progress`."""
        if self._flight is not None:
            self._flight.progress(_share(fraction), _short(text))

    async def evaluate(
        self,
        graph: InnerGraph | Mapping[str, Any],
        inputs: Mapping[str, Any] | None = None,
        *,
        targets: Sequence[str] | None = None,
        label: str = "",
        seed: int | None = None,
    ) -> dict[str, Any]:
        """See `RunContext.evaluate`."""
        if self._flight is None:
            await asyncio.sleep(0)  # from there on the node has a flight
        now = perf_counter()
        if now >= self._turn_ends:
            # What is cached is there at once: a node that evaluates a graph ten thousand times must let others go on.
            if self._turn_ends:
                await asyncio.sleep(0)
            self._turn_ends = perf_counter() + TURN_S
        return await self._evaluator.evaluate(
            self._flight, graph, inputs or {}, targets=targets, label=label, seed=seed
        )

    async def stream(self, port: str, chunk: Any) -> None:
        """See `RunContext.stream`."""
        if port not in self.node.streams:
            self._refuse_stream(port)
        flight = self._flight
        if flight is None:
            raise NodeError("an inline node cannot stream; make it `async def`", code="node_failed")
        if flight.emit(port, chunk):
            await flight.caught_up()
        now = perf_counter()
        if now >= self._turn_ends:
            # A node that only streams never suspends by itself; others, and a cancel, must get their turn.
            if self._turn_ends:
                await asyncio.sleep(0)
            self._turn_ends = perf_counter() + TURN_S


class ThreadContext(_Context):
    """For `thread` nodes: `contracts.run_context.ThreadRunContext`."""

    __slots__ = ("_room",)

    def __init__(self, evaluator: Evaluator, node: CompiledNode, flight: Flight | None) -> None:
        super().__init__(evaluator, node, flight)
        self._room = Room()

    def stream(self, port: str, chunk: Any) -> None:
        """See `ThreadRunContext.stream`."""
        if port not in self.node.streams:
            self._refuse_stream(port)
        flight = self._flight
        if flight is None or flight.cancelled or not self._send(flight, port, chunk):
            raise _nobody_waits()

    def progress(self, fraction: float | None = None, text: str = "") -> None:
        """See `ThreadRunContext.progress`."""
        flight = self._flight
        if flight is not None and not flight.cancelled:
            mailbox = self._evaluator.threads.mailbox
            report = (_share(fraction), _short(text))
            mailbox.post_in_turn(self._room, 0, flight.progress, *report, unless=lambda: flight.cancelled)

    def check_cancelled(self) -> None:
        """See `ThreadRunContext.check_cancelled`."""
        if self.cancelled:
            raise _nobody_waits()

    def _send(self, flight: Flight, port: str, chunk: Any) -> bool:
        mailbox = self._evaluator.threads.mailbox
        return mailbox.post_in_turn(
            self._room, size_of(chunk), flight.emit_from_thread, port, chunk, unless=lambda: flight.cancelled
        )
