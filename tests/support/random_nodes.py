"""Node types for random graphs: every way to run, and what may go wrong; and a book of what was executed.

`compute` says what a node of a kind returns. It is shared by the real nodes and by the reference evaluator, so that the
two can differ only in what an evaluator does: which nodes it runs, and with which inputs.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.node import NodeSpec, NodeType, PortSpec
from graphport.graph.digest import xxh3

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.contracts.node import Effect, Execution

# What a node returns that nobody waits for any more. Where this shows up, a result was used that must not be.
POISON: Final = 1_000_000_000
# The port `a` has a graph setting and a default of its own.
SETTING: Final = "sa"
DEFAULT: Final = 7


@dataclass(frozen=True, kw_only=True, repr=False)
class Kind:
    """A kind of node.

    Attributes:
        name: the node type's name.
        single: input ports of one edge.
        many: input ports of many edges.
        outputs: output ports.
        effect: its effect class.
        execution: how it runs.
        gate: it emits one of its outputs.
        digest: its consumers are known by its content.
        waits: it waits until the test lets it go on.
        stubborn: it answers its cancellation with a result.
        streams: it streams its value, half before it waits.
    """

    name: str
    single: tuple[str, ...] = ("a", "b")
    many: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("value",)
    effect: Effect = "pure"
    execution: Execution = "inline"
    gate: bool = False
    digest: bool = False
    waits: bool = False
    stubborn: bool = False
    streams: bool = False

    def __repr__(self) -> str:
        return self.name

    @property
    def ports(self) -> tuple[str, ...]:
        """All input ports but `k`, which each kind has, and which makes each node of a graph one of its own."""
        return self.single + self.many

    @property
    def cacheable(self) -> bool:
        """Whether equal inputs mean that it need not run."""
        return self.effect in ("pure", "seeded")


def _kinds() -> dict[str, Kind]:
    both: dict[str, Any] = {"single": ("a",), "many": ("many",)}
    branches = ("yes", "no")
    kinds = [
        Kind(name="plain"),
        Kind(name="list", **both),
        Kind(name="same-list", **both),
        Kind(name="gather", single=(), many=("many", "more")),
        Kind(name="risky", **both),
        Kind(name="digest", **both, digest=True),
        Kind(name="gate", outputs=branches, gate=True),
        Kind(name="seeded", single=("a", "seed"), effect="seeded"),
        Kind(name="volatile", **both, effect="volatile"),
        Kind(name="effect", effect="effect"),
        Kind(name="later", execution="async"),
        Kind(name="waits", **both, execution="async", waits=True),
        Kind(name="stubborn", execution="async", waits=True, stubborn=True),
        Kind(name="streams", single=("a",), execution="async", waits=True, streams=True),
        Kind(name="digest-waits", **both, execution="async", waits=True, digest=True),
        Kind(name="gate-waits", outputs=branches, execution="async", waits=True, gate=True),
        Kind(name="seeded-waits", single=("a", "seed"), effect="seeded", execution="async", waits=True),
        Kind(name="volatile-waits", effect="volatile", execution="async", waits=True),
        Kind(name="thread", **both, execution="thread"),
        Kind(name="risky-thread", **both, execution="thread"),
        Kind(name="blocks", execution="thread", waits=True),
        Kind(name="effect-blocks", single=("a",), effect="effect", execution="thread", waits=True),
    ]
    return {kind.name: kind for kind in kinds}


KINDS: Final = _kinds()


def number(value: Any) -> int:
    """A value as a number: other order, other number."""
    if isinstance(value, list):
        return sum((place + 1) * number(item) for place, item in enumerate(value)) + len(value)
    return 0 if value is None else int(value)


def compute(kind: Kind, inputs: dict[str, Any]) -> dict[str, Any]:
    """What a node returns.

    Raises:
        ValueError: where a risky one fails.
    """
    total = number(inputs["k"]) + sum((place + 2) * number(inputs[port]) for place, port in enumerate(kind.ports))
    if kind.name.startswith("risky") and total % 5 == 0:
        raise ValueError(total)
    if kind.gate:
        return {"yes" if number(inputs["a"]) % 2 else "no": number(inputs["b"])}
    if kind.digest:
        return {"value": total % 3}
    if kind.name == "list":
        return {"value": [total % 1_009, [total % 7]]}
    return {"value": [total % 1_009] if kind.name == "same-list" else total % 1_009}


def streamed_text(outputs: dict[str, Any]) -> str:
    """What a streaming node sends of this result."""
    return f"<{outputs['value']}>"


def frozen(value: Any) -> Any:
    """The value as something that can be a key of a dict."""
    if isinstance(value, dict):
        return tuple(sorted((key, frozen(item)) for key, item in value.items()))
    return ("list", *map(frozen, value)) if isinstance(value, list) else value


def identity(kind: Kind, inputs: dict[str, Any]) -> Any:
    """What tells executions apart from outside: the kind, and what it is given."""
    return kind.name, frozen(inputs)


class Stop(Exception):
    """What a waiting node raises when the test makes it fail."""


@dataclass(eq=False, repr=False)
class NodeCall:
    """One call of a node's handler.

    Attributes:
        kind: of the node.
        identity: see `identity`.
        context: what the evaluator gave it.
        state: `running`, `waiting`, `returned` or `broken`; broken ones raised or were cancelled.
        failure: what it is to raise when it goes on.
    """

    kind: Kind
    identity: Any
    context: Any
    state: str = "running"
    failure: BaseException | None = None
    _go: threading.Event = field(default_factory=threading.Event)
    _go_async: asyncio.Event = field(default_factory=asyncio.Event)

    def __repr__(self) -> str:
        return f"{self.identity} {self.state}"

    @property
    def given_up(self) -> bool:
        """Whether the evaluator has cancelled it."""
        return bool(self.context.cancelled)

    @property
    def at_door(self) -> bool:
        """Whether it waits and the evaluator waits for it."""
        return self.state == "waiting" and not self.given_up

    def go_on(self, failure: BaseException | None = None) -> None:
        """Let it go on, or fail. Called on the loop's thread."""
        self.failure = failure
        self.state = "running"
        self._go.set()
        self._go_async.set()

    def block(self) -> None:
        """Wait on a thread."""
        self.state = "waiting"
        self._go.wait()
        self._check()

    async def wait(self) -> None:
        """Wait on the loop."""
        self.state = "waiting"
        await self._go_async.wait()
        self._check()

    def _check(self) -> None:
        self.state = "running"
        if self.failure is not None:
            raise self.failure


class Floor:
    """Where the nodes run: their types, and the book of all executions.

    Args:
        doors: whether nodes wait for the test; else they go on by themselves.
    """

    def __init__(self, *, doors: bool = True) -> None:
        self.executions: list[NodeCall] = []
        self._doors = doors
        self._same: dict[str, Any] = {}

    @property
    def unfinished(self) -> list[NodeCall]:
        """What has begun and not ended."""
        return [one for one in self.executions if one.state in ("running", "waiting")]

    def types(self) -> list[NodeType]:
        """A node type of each kind."""
        return [self._type(kind) for kind in KINDS.values()]

    def _type(self, kind: Kind) -> NodeType:
        handler: Callable[..., Any] = self._run
        if kind.execution == "async":
            handler = self._run_async
        inputs = [PortSpec(name="k"), *(_single(port) for port in kind.single)]
        inputs += [PortSpec(name=port, multiple=True) for port in kind.many]
        return NodeType(
            spec=NodeSpec(
                type=kind.name,
                inputs=tuple(inputs),
                outputs=tuple(PortSpec(name=port, stream=kind.streams) for port in kind.outputs),
                execution=kind.execution,
                effect=kind.effect,
                gate=kind.gate,
                content_digest=kind.digest,
            ),
            handler=lambda inputs, ctx: handler(kind, inputs, ctx),
            code_digest=xxh3(kind.name.encode()),
        )

    def _begin(self, kind: Kind, inputs: dict[str, Any], ctx: Any) -> NodeCall:
        execution = NodeCall(kind, identity(kind, inputs), ctx)
        self.executions.append(execution)
        return execution

    def _run(self, kind: Kind, inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        execution = self._begin(kind, inputs, ctx)
        try:
            if kind.waits and self._doors:
                execution.block()
            outputs = self._result(execution, kind, inputs)
        except BaseException:
            execution.state = "broken"
            raise
        execution.state = "broken" if execution.given_up else "returned"
        return outputs

    async def _run_async(self, kind: Kind, inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        execution = self._begin(kind, inputs, ctx)
        try:
            await self._stay(execution, kind, inputs, ctx)
            outputs = self._result(execution, kind, inputs)
            if kind.streams:
                await ctx.stream("value", streamed_text(outputs)[1:])
        except asyncio.CancelledError:
            execution.state = "broken"
            if kind.stubborn and execution.given_up:
                return self._result(execution, kind, inputs)
            raise
        except BaseException:
            execution.state = "broken"
            raise
        execution.state = "broken" if execution.given_up else "returned"
        return outputs

    async def _stay(self, execution: NodeCall, kind: Kind, inputs: dict[str, Any], ctx: Any) -> None:
        if kind.streams:
            await ctx.stream("value", streamed_text(compute(kind, inputs))[:1])
        if kind.waits and self._doors:
            await execution.wait()
        elif inputs["k"] % 2:
            await asyncio.sleep(0)

    def _result(self, execution: NodeCall, kind: Kind, inputs: dict[str, Any]) -> dict[str, Any]:
        outputs = compute(kind, inputs)
        if execution.given_up:
            return dict.fromkeys(outputs, POISON)
        if kind.name == "same-list":
            # It spoils what it was given, and returns one and the same list again and again.
            _spoil(inputs)
            mine = self._same.setdefault("list", [])
            mine[:] = outputs["value"]
            outputs = self._same.setdefault("outputs", {})
            outputs["value"] = mine
        return outputs


def _single(name: str) -> PortSpec:
    return PortSpec(name=name, setting=SETTING, default=DEFAULT) if name == "a" else PortSpec(name=name)


def _spoil(value: Any) -> None:
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, list):
            _spoil(item)
            item.append(POISON)
