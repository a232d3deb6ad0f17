"""The node `llamacpp-inference` with a gateway that answers by script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphport.contracts.inference import (
    ChatDone,
    ChatMessage,
    ChatProgress,
    ChatReasoning,
    ChatRequest,
    ChatText,
    LoadParameters,
)
from graphport.core.errors import InferenceError, NodeError
from graphport.nodes.llamacpp_inference import NODE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from graphport.contracts.inference import ChatEvent

pytestmark = pytest.mark.anyio


DEFAULTS = LoadParameters()


class RecordingGateway:
    """Answers with given events and remembers what it was asked."""

    def __init__(self, *events: ChatEvent | Exception) -> None:
        self.events = events
        self.asked: list[tuple[str, ChatRequest, LoadParameters]] = []
        self.closed = False

    async def chat(
        self, model_path: str, request: ChatRequest, parameters: LoadParameters = DEFAULTS
    ) -> AsyncGenerator[ChatEvent, None]:
        self.asked.append((model_path, request, parameters))
        try:
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed = True


class Context:
    """A run context that collects chunks; `fails_at` makes the receiver vanish at that chunk."""

    def __init__(self, gateway: RecordingGateway, *, fails_at: int | None = None) -> None:
        self.gateway = gateway
        self.fails_at = fails_at
        self.chunks: list[tuple[str, Any]] = []
        self.told: list[tuple[float | None, str]] = []

    def service(self, name: str) -> Any:
        assert name == "inference"
        return self.gateway

    def progress(self, fraction: float | None = None, text: str = "") -> None:
        self.told.append((fraction, text))

    async def stream(self, port: str, chunk: Any) -> None:
        if len(self.chunks) == self.fails_at:
            raise ConnectionError
        self.chunks.append((port, chunk))


def inputs(**given: Any) -> dict[str, Any]:
    """What the evaluator passes: every input port of the spec, defaults filled in."""
    return {port.name: given.get(port.name, port.default) for port in NODE.spec.inputs}


async def run(gateway: RecordingGateway, **given: Any) -> tuple[dict[str, Any], Context]:
    context = Context(gateway)
    outputs = await NODE(inputs(**{"prompt": "hi", "model_path": "/m/tiny.gguf", **given}), context)
    return outputs, context


def answering() -> RecordingGateway:
    return RecordingGateway(
        ChatProgress(processed=1, total=2, cached=0),
        ChatReasoning("hm"),
        ChatText("Hello"),
        ChatText(" you"),
        ChatDone(finish_reason="stop"),
    )


async def test_it_streams_the_answer_and_emits_every_declared_output() -> None:
    outputs, context = await run(answering())

    assert context.chunks == [("response", "Hello"), ("response", " you")]
    assert outputs["response"] == "Hello you"
    assert outputs["model_path"] == "/m/tiny.gguf"
    assert outputs["model_ref"] == {
        "contractVersion": 2,
        "engine": "llamacpp",
        "modelId": "tiny",
        "modelPath": "/m/tiny.gguf",
        "taskTypePrimary": "text-generation",
    }
    assert outputs.keys() == {port.name for port in NODE.spec.outputs}


async def test_it_says_how_far_the_prompt_is_read() -> None:
    _, context = await run(answering())

    assert context.told == [(None, "waiting for the model"), (0.5, "reading the prompt")]


async def test_defaults_reach_the_model() -> None:
    gateway = answering()

    await run(gateway)

    [(path, request, parameters)] = gateway.asked
    assert path == "/m/tiny.gguf"
    assert request == ChatRequest(messages=(ChatMessage(role="user", content="hi"),), max_tokens=512, temperature=0.7)
    assert parameters == LoadParameters()


async def test_given_values_reach_the_model() -> None:
    gateway = answering()

    await run(
        gateway,
        system_prompt="be brief",
        temperature=0,
        max_tokens=3,
        context_length=777,
        gpu_layers=0,
        seed=42,
        stop=["a", "b"],
        top_p=0.5,
        top_k=4,
        json_schema={"type": "object"},
    )

    [(_, request, parameters)] = gateway.asked
    assert request.messages == (
        ChatMessage(role="system", content="be brief"),
        ChatMessage(role="user", content="hi"),
    )
    assert (request.temperature, request.max_tokens, request.seed) == (0, 3, 42)
    assert request.stop == ("a", "b")
    assert (request.top_p, request.top_k) == (0.5, 4)
    assert request.json_schema == {"type": "object"}
    assert (parameters.context_length, parameters.gpu_layers) == (777, 0)


async def test_nulls_mean_the_defaults() -> None:
    gateway = answering()

    await run(gateway, temperature=None, max_tokens=None, context_length=None, gpu_layers=None, stop=None)

    [(_, request, parameters)] = gateway.asked
    assert (request.temperature, request.max_tokens, request.stop) == (0.7, 512, ())
    assert parameters == LoadParameters()


async def test_a_prompt_that_is_no_text_is_written_as_json() -> None:
    gateway = answering()

    await run(gateway, prompt={"frage": "wärme?"})

    assert gateway.asked[0][1].messages[0].content == '{"frage": "wärme?"}'


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"model_path": None}, "missing_input"),
        ({"model_path": ""}, "missing_input"),
        ({"model_path": "  "}, "invalid_input"),
        ({"model_path": 7}, "invalid_input"),
        ({"stop": [1]}, "invalid_input"),
        ({"stop": [""]}, "invalid_input"),
    ],
)
async def test_bad_inputs_are_named_before_the_model_is_asked(given: dict[str, Any], code: str) -> None:
    gateway = answering()

    with pytest.raises(NodeError) as caught:
        await run(gateway, **given)

    assert caught.value.code == code
    assert next(iter(given)) in caught.value.message
    assert gateway.asked == []


async def test_the_gateways_error_passes_unchanged() -> None:
    error = InferenceError("died", code="backend_crashed")

    with pytest.raises(InferenceError) as caught:
        await run(RecordingGateway(ChatText("a"), error))

    assert caught.value is error


async def test_the_answer_is_closed_when_the_receiver_fails() -> None:
    gateway = answering()

    with pytest.raises(ConnectionError):
        await NODE(inputs(prompt="hi", model_path="/m"), Context(gateway, fails_at=1))

    assert gateway.closed


def test_the_spec_declares_a_seeded_streaming_node() -> None:
    spec = NODE.spec

    assert (spec.type, spec.effect, spec.execution) == ("llamacpp-inference", "seeded", "async")
    assert [port.name for port in spec.outputs if port.stream] == ["response"]
    assert {port.name for port in spec.inputs if port.required} == {"prompt", "model_path"}
    prompt = spec.input("prompt")
    assert prompt is not None
    assert prompt.external
