"""What a node type is: its `NodeSpec` (data that travels and is printed) and its `NodeType` (spec plus code).

Must not run nodes. Made by `graph.authoring`, read by validation, compilation, evaluation and the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphport.contracts.cache_policy import CachePolicy
    from graphport.contracts.inner_graph import InnerGraph

Effect = Literal["pure", "seeded", "volatile", "effect"]
Execution = Literal["inline", "async", "thread", "host"]

# Every node has this output beside those it declares: what it gives there when it fails, if an edge leads from it.
ERROR_PORT: Final = "[error]"


class PortSpec(BaseModel):
    """One input or output of a node.

    Attributes:
        name: the port's name, used in edges and as key of inputs and outputs.
        type: value type; `graph.port_types` lists the known ones and which fit which. Other words fit only themselves.
        required: input: without edge, value, setting or default the graph is faulty. Ignored for outputs.
        default: input: value used when nothing else gives one. `None` with `required=False` means "absent is null".
        min: smallest number allowed, if any.
        max: largest number allowed, if any.
        choices: the only values allowed, if any.
        multiple: input: takes any number of edges and receives a list, in the order of the graph's edge list.
        external: input: may be left open in the graph because demands usually supply it; then missing is an
            error of the demand, not of the graph.
        hidden: user interfaces need not show it.
        setting: input: name of the graph setting that supplies it when neither edge nor data does.
        stream: output: the node sends chunks of this port while it runs.
        description: one sentence for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    type: str = "any"
    required: bool = False
    default: Any = None
    min: float | None = None
    max: float | None = None
    choices: tuple[Any, ...] | None = None
    multiple: bool = False
    external: bool = False
    hidden: bool = False
    setting: str | None = None
    stream: bool = False
    description: str = ""


class NodeSpec(BaseModel):
    """Everything about a node type that is not code.

    Attributes:
        type: the name graphs use.
        version: raise it when results change for equal inputs; it is part of the cache key.
        title: name for people.
        category: group for people.
        description: what it does.
        inputs: input ports. A port name occurs once.
        outputs: output ports. A node emits exactly these.
        effect: `pure` and `seeded` (a sampler; `seed` is an input) are cached and shared between demands,
            `volatile` runs once per demand, `effect` runs once per demand and is never retried.
        execution: `inline` promises < 1 ms and no I/O; `async` awaits; `thread` may block; `host` is
            run by the BEAM, which declares such types.
        gate: outputs are branches, of which the handler emits some; those it leaves out are dead.
        content_digest: consumers' cache keys use a hash of the output values instead of the inputs' keys, so that
            an equal result stops re-evaluation there. Worth it for cheap nodes with small outputs.
        timeout_ms: the longest a single run may take, or none.
        services: names of the services that it asks for with `ctx.service`. A graph with a node that asks for one the
            engine does not have is refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field(min_length=1)
    version: str = "1"
    title: str = ""
    category: str = "other"
    description: str = ""
    inputs: tuple[PortSpec, ...] = ()
    outputs: tuple[PortSpec, ...] = ()
    effect: Effect = "pure"
    execution: Execution = "thread"
    gate: bool = False
    content_digest: bool = False
    timeout_ms: int | None = Field(default=None, gt=0)
    services: tuple[str, ...] = ()

    @field_validator("outputs")
    @classmethod
    def _error_port_is_taken(cls, outputs: tuple[PortSpec, ...]) -> tuple[PortSpec, ...]:
        if any(port.name == ERROR_PORT for port in outputs):
            raise ValueError(f"every node has the output {ERROR_PORT!r}; no node declares it")
        return outputs

    def input(self, name: str) -> PortSpec | None:
        """The input port of that name, or None."""
        return next((port for port in self.inputs if port.name == name), None)

    def output(self, name: str) -> PortSpec | None:
        """The output port of that name, or None."""
        return next((port for port in self.outputs if port.name == name), None)

    @property
    def streams(self) -> bool:
        """Whether any output port is streamed."""
        return any(port.stream for port in self.outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeType:
    """A spec and the code that does it.

    Attributes:
        spec: the declaration.
        handler: `handler(inputs, context)`; returns a mapping of output port to value, or for `async` execution a
            coroutine of one. `inputs` has every input port of the spec as key. Runs on the event loop's thread for
            `inline` and `async`, on one of the evaluator's own threads for `thread`.
        code_digest: identifies the code; changes when the source file that defines the handler changes.
        trusted: the handler never changes values it is given (core nodes); others receive copies of shared
            lists and maps.
        cache: how results are kept, where the type wants it in a way of its own.
        identity: called with a node's inputs before it is looked for in the cache; returns, as plain data, what else
            the result depends on, such as the size and time of a file they name. Runs on a thread and may block.
        shape: `shape(data, inner)` gives the type that one node has, where its ports hang on its data or on the graph
            it holds; raises a `NodeError` that says what is wrong with the data. None for most types.
        holds_graph: the node's data `graph` is a graph, or the name of one in `graphs`; it is `inner` of `shape`.
        declares: the node declares a port of the graph it is in: the first input of its shape, renamed.
        inner: of a type that `shape` gave: the graph that its nodes hold.
        answer_port: the input that a later answer is given to. Its inline handler may raise `InputAwaited`.
    """

    spec: NodeSpec
    handler: Callable[[dict[str, Any], Any], Any]
    code_digest: bytes
    trusted: bool = False
    cache: CachePolicy | None = None
    identity: Callable[[Mapping[str, Any]], Any] | None = None
    shape: Callable[[Mapping[str, Any], InnerGraph | None], NodeType] | None = None
    holds_graph: bool = False
    declares: Literal["input", "output"] | None = None
    inner: InnerGraph | None = None
    answer_port: str | None = None

    def __call__(self, inputs: Mapping[str, Any], context: Any = None) -> Any:
        """Call the handler directly, as tests do."""
        return self.handler(dict(inputs), context)
