"""The node `llamacpp-inference`: lets a local GGUF model answer a prompt, token by token.

Uses the service `inference` and nothing else: no process, socket or file is touched here.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.inference import (
    ChatMessage,
    ChatProgress,
    ChatRequest,
    ChatText,
    InferenceGateway,
    LoadParameters,
)
from graphport.contracts.node import PortSpec
from graphport.core.errors import NodeError
from graphport.graph.authoring import node, node_type_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphport.contracts.run_context import RunContext

_DEFAULTS: Final = LoadParameters()

_INPUTS: Final = (
    PortSpec(name="prompt", type="string", required=True, external=True, description="What the user says."),
    PortSpec(
        name="model_path",
        type="string",
        required=True,
        description="A .gguf file, a folder that holds one, or the name of an installed model.",
    ),
    PortSpec(name="system_prompt", type="string", description="How the model is to behave."),
    PortSpec(name="temperature", type="number", default=0.7, min=0, max=10, description="0 is repeatable."),
    PortSpec(name="max_tokens", type="integer", default=512, min=1, description="The longest answer, in tokens."),
    PortSpec(
        name="context_length",
        type="integer",
        default=_DEFAULTS.context_length,
        min=64,
        description="Tokens of prompt and answer together.",
    ),
    PortSpec(
        name="gpu_layers",
        type="integer",
        default=_DEFAULTS.gpu_layers,
        min=-1,
        description="Layers on a GPU; -1 is as many as fit.",
    ),
    PortSpec(name="seed", type="integer", description="Equal seeds give equal answers."),
    PortSpec(name="stop", type="list", description="Texts at which the answer ends."),
    PortSpec(name="top_p", type="number", min=0, max=1, description="Share of the likeliest tokens."),
    PortSpec(name="top_k", type="integer", min=0, description="Number of likeliest tokens; 0 is all."),
    PortSpec(name="min_p", type="number", min=0, max=1, description="Share of the likeliest token."),
    PortSpec(name="repeat_penalty", type="number", min=0, description="Above 1 avoids repetition."),
    PortSpec(name="grammar", type="string", description="GBNF grammar that the answer must follow."),
    PortSpec(name="json_schema", type="map", description="JSON schema that the answer must follow."),
)

_OUTPUTS: Final = (
    PortSpec(name="response", type="string", stream=True, description="The answer."),
    PortSpec(name="model_path", type="string", description="The model as it was given."),
    PortSpec(name="model_ref", type="model_ref", description="Names the model for `unload-model`."),
)


def _model_file(inputs: Mapping[str, Any]) -> list[Any]:
    """Path, size and time of the model's file: other content under the same name answers otherwise.

    Of a folder it is the first `.gguf` file, as it is for the gateway. Names of installed models stand for themselves.
    """
    given = inputs["model_path"]
    if not isinstance(given, str) or not given or "\0" in given:
        return []
    path = Path(given).expanduser()
    try:
        if path.is_dir():
            path = min(one for one in path.iterdir() if one.name.lower().endswith(".gguf") and one.is_file())
        status = path.stat()
    except (OSError, ValueError, RuntimeError):
        return []  # the gateway says what is wrong
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


@node(
    type="llamacpp-inference",
    version="1",
    title="LlamaCpp inference",
    category="processing",
    effect="seeded",
    inputs=_INPUTS,
    outputs=_OUTPUTS,
    trusted=True,
    identity=_model_file,
)
async def llamacpp_inference(inputs: dict[str, Any], ctx: RunContext) -> dict[str, Any]:
    """Lets a local GGUF model answer a prompt, and streams the answer.

    The model is loaded when it is first used and stays loaded for the next answer. The same inputs give the cached
    answer again; demand with `fresh` for another one.

    Raises:
        NodeError: `missing_input` if there is no model path; `invalid_input` if it is no text, or `stop` no list of
            texts.
        InferenceError: `model_not_found` if there is no such file; `invalid_model` if it is no model that can be
            loaded; `context_exceeded` if the prompt is too long; `backend_unavailable` if nothing is installed
            that runs models; `backend_unsupported` if what is installed cannot do it; `backend_crashed`,
            `backend_timeout` or `backend_failed` if the model's process fails.
    """
    model_path = _model_path(inputs["model_path"])
    gateway: InferenceGateway = ctx.service("inference")
    parameters = LoadParameters(
        context_length=_or(inputs["context_length"], _DEFAULTS.context_length),
        gpu_layers=_or(inputs["gpu_layers"], _DEFAULTS.gpu_layers),
    )
    pieces: list[str] = []
    ctx.progress(text="waiting for the model")
    events = gateway.chat(model_path, _request(inputs), parameters)
    async with contextlib.aclosing(events):
        async for event in events:
            if type(event) is ChatText:
                pieces.append(event.text)
                await ctx.stream("response", event.text)
            elif type(event) is ChatProgress and event.total:
                ctx.progress(event.processed / event.total, "reading the prompt")
    return {
        "response": "".join(pieces),
        "model_path": model_path,
        "model_ref": {
            "contractVersion": 2,
            "engine": "llamacpp",
            "modelId": PurePath(model_path).stem,
            "modelPath": model_path,
            "taskTypePrimary": "text-generation",
        },
    }


NODE: Final = node_type_of(llamacpp_inference)


def _request(inputs: dict[str, Any]) -> ChatRequest:
    messages = [ChatMessage(role="user", content=_text(inputs["prompt"]))]
    if inputs["system_prompt"]:
        messages.insert(0, ChatMessage(role="system", content=_text(inputs["system_prompt"])))
    return ChatRequest(
        messages=tuple(messages),
        max_tokens=_or(inputs["max_tokens"], 512),
        temperature=_or(inputs["temperature"], 0.7),
        seed=inputs["seed"],
        stop=_stop_texts(inputs["stop"]),
        top_p=inputs["top_p"],
        top_k=inputs["top_k"],
        min_p=inputs["min_p"],
        repeat_penalty=inputs["repeat_penalty"],
        grammar=inputs["grammar"] or None,
        json_schema=inputs["json_schema"],
    )


def _model_path(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise NodeError(
        f"model_path should be the path of a .gguf file or the name of an installed model, got {value!r}.",
        code="missing_input" if value is None or value == "" else "invalid_input",
    )


def _stop_texts(value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else list(value or ())
    if all(isinstance(text, str) and text for text in texts):
        return tuple(texts)
    raise NodeError(f"stop should be a list of texts, got {value!r}.", code="invalid_input")


def _text(value: Any) -> str:
    """A prompt as text: ports of type string also take numbers, truth values and JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _or(value: Any, default: Any) -> Any:
    """The value, or the default where a graph says null."""
    return default if value is None else value
