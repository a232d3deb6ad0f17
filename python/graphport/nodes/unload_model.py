"""unload-model: frees the memory of a local model. An effect: done once per demand, never cached.

Uses the service `inference` and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict

from graphport.contracts.node import PortSpec
from graphport.core.errors import NodeError
from graphport.graph.authoring import node, node_type_of
from graphport.graph.port_types import shown

if TYPE_CHECKING:
    from graphport.contracts.inference import InferenceGateway
    from graphport.contracts.run_context import RunContext

_CONTRACT_VERSION: Final = 2
# The engines whose models this node can unload.
_ENGINES: Final = ("llamacpp",)


class Unloaded(TypedDict):
    """The outputs."""

    status: str
    workers_stopped: int
    trigger_passthrough: Any


@node(
    inputs=[
        PortSpec(
            name="model_ref",
            type="model_ref",
            required=True,
            description="The model, as an inference node names it: connect that node's `model_ref`.",
        ),
        PortSpec(name="trigger", type="any", description="What has to be done before; its value does not matter."),
    ],
    outputs=[
        PortSpec(name="status", type="string", description="What was done, for people."),
        PortSpec(name="workers_stopped", type="integer", description="Number of workers; 0 if it was not loaded."),
        PortSpec(name="trigger_passthrough", type="any", description="The trigger, or null."),
    ],
    category="processing",
    effect="effect",
    trusted=True,
)
async def unload_model(model_ref: Any, trigger: Any, ctx: RunContext) -> Unloaded:
    """Unloads a local model once the requests that it has are answered.

    A model that is not loaded is no error.

    Raises:
        NodeError: `missing_input` if an edge brings null as the model; `invalid_input` if it is no model reference
            of version 2, or one of an engine that is not known here.
        InferenceError: `backend_unavailable` if this engine runs no models.
    """
    name, path, engine = _read(model_ref)
    gateway: InferenceGateway = ctx.service("inference")
    stopped = await gateway.unload(path)
    done = f"unloaded from {engine}" if stopped else f"was not loaded in {engine}"
    return {"status": f"Model '{name}' {done}", "workers_stopped": stopped, "trigger_passthrough": trigger}


def _read(model_ref: Any) -> tuple[str, str, str]:
    """Name, path and engine of the model."""
    if model_ref is None:
        raise NodeError(
            "unload-model: there is no model; connect the output `model_ref` of an inference node.",
            code="missing_input",
        )
    if not isinstance(model_ref, dict):
        raise _wrong(f"`model_ref` should be a map, as inference nodes give it, got {shown(model_ref)}")
    version = model_ref.get("contractVersion")
    if type(version) is not int or version != _CONTRACT_VERSION:
        raise _wrong(f"`contractVersion` of the model should be {_CONTRACT_VERSION}, got {shown(version)}")
    engine = _text(model_ref, "engine")
    if engine not in _ENGINES:
        raise _wrong(f"cannot unload from the engine {engine!r}; known: {', '.join(_ENGINES)}")
    return _text(model_ref, "modelId"), _text(model_ref, "modelPath"), engine


def _text(model_ref: dict[str, Any], key: str) -> str:
    value = model_ref.get(key)
    if isinstance(value, str) and value.strip():
        return value
    raise _wrong(f"`{key}` of the model should be a text, got {shown(value)}")


def _wrong(what: str) -> NodeError:
    return NodeError(f"unload-model: {what}.", code="invalid_input")


NODE = node_type_of(unload_model)
