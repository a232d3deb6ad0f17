"""Streams answers of an OpenAI-compatible chat endpoint as typed events.

Serves llama.cpp's server and everything that speaks like it. Must not start or know processes. Used by
`inference`.

A stream can fail in three ways that look like an end: an error object in the middle, a connection that closes
before a finish reason, and silence. All three are errors here.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.inference import (
    ChatDone,
    ChatEvent,
    ChatProgress,
    ChatReasoning,
    ChatRequest,
    ChatText,
    Timings,
    TokenUsage,
)
from graphport.core.errors import InferenceError
from graphport.http.client import ConnectionLost
from graphport.http.sse import SseSplitter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping

    from graphport.http.client import HttpClient, StreamedAnswer

CHAT_PATH: Final = "/v1/chat/completions"
_CONTEXT_ERRORS: Final = ("exceed_context_size_error", "context_length_exceeded")
_MAX_MESSAGE_CHARACTERS: Final = 2000
_SEED_RANGE: Final = 0xFFFF_FFFF  # the largest 32-bit number means "random" to llama.cpp
_PLAIN_FIELDS: Final = (
    "max_tokens", "temperature", "top_p", "top_k", "min_p", "repeat_penalty", "grammar",
)  # fmt: skip


async def stream_chat(
    client: HttpClient, request: ChatRequest, *, model: str | None = None
) -> AsyncGenerator[ChatEvent, None]:
    """Ask, and give the events of the answer, `ChatDone` last. Closing it stops the server's work.

    Args:
        client: the server.
        request: the conversation.
        model: name of the model, for servers that have several.

    Raises:
        InferenceError: `context_exceeded`, `backend_failed`, `backend_timeout`, `backend_unavailable`.
    """
    body = request_body(request)
    if model is not None:
        body["model"] = model
    async with client.post_streamed(CHAT_PATH, body) as answer:
        if answer.status != 200:
            raise await _refusal(answer)
        reader = _AnswerReader()
        async with contextlib.aclosing(answer.chunks()) as chunks:
            async for chunk in chunks:
                for event in reader.read(chunk):
                    yield event
                    if type(event) is ChatDone:
                        return
        yield reader.end()


def request_body(request: ChatRequest) -> dict[str, Any]:
    """The request as the endpoint's JSON.

    `return_progress` is always asked for, because llama.cpp sees a closed connection only when it writes to
    it: without progress reports a cancelled prompt is computed to its end.
    """
    body: dict[str, Any] = {
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        "cache_prompt": True,
    }
    for name in _PLAIN_FIELDS:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.seed is not None:
        body["seed"] = request.seed % _SEED_RANGE
    if request.stop:
        body["stop"] = list(request.stop)
    if request.json_schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": dict(request.json_schema)},
        }
    return body


class _AnswerReader:
    """Turns the bytes of one answer into events. Texts that arrive together are joined."""

    __slots__ = ("_finish_reason", "_splitter", "_timings", "_usage")

    def __init__(self) -> None:
        self._splitter = SseSplitter()
        self._finish_reason: str | None = None
        self._usage: TokenUsage | None = None
        self._timings: Timings | None = None

    def read(self, chunk: bytes) -> Iterator[ChatEvent]:
        try:
            payloads = self._splitter.feed(chunk)
        except ValueError as error:
            raise _malformed(str(error)) from error
        text = ""
        for payload in payloads:
            if payload == b"[DONE]":
                if text:
                    yield ChatText(text)
                yield self.end()
                return
            try:
                content, other = self._read_payload(payload)
            except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
                raise _malformed(type(error).__name__) from error
            if content:
                text += content
            if other is not None:
                if text:
                    yield ChatText(text)
                    text = ""
                yield other
        if text:
            yield ChatText(text)

    def end(self) -> ChatDone:
        if self._finish_reason is None:
            raise ConnectionLost("The model server closed its answer before it was finished.")
        return ChatDone(finish_reason=self._finish_reason, usage=self._usage, timings=self._timings)

    def _read_payload(self, payload: bytes) -> tuple[str | None, ChatEvent | None]:
        """The text of one server-sent event, and what else it is."""
        data = json.loads(payload)
        if "error" in data:
            raise error_from(data["error"], None)
        content: str | None = None
        other: ChatEvent | None = None
        if data["choices"]:
            choice = data["choices"][0]
            delta = choice["delta"]
            content = delta.get("content")
            if content is not None and type(content) is not str:
                raise TypeError
            if reasoning := delta.get("reasoning_content"):
                other = ChatReasoning(str(reasoning))
            if choice.get("finish_reason") is not None:
                self._finish_reason = str(choice["finish_reason"])
        if "prompt_progress" in data:
            other = _progress(data["prompt_progress"])
        if data.get("usage") is not None:
            self._usage = _usage(data["usage"])
        if "timings" in data:
            self._timings = _timings(data["timings"])
        return content, other


def _progress(data: Mapping[str, Any]) -> ChatProgress:
    return ChatProgress(processed=int(data["processed"]), total=int(data["total"]), cached=int(data.get("cache", 0)))


def _usage(data: Mapping[str, Any]) -> TokenUsage:
    details = data.get("prompt_tokens_details") or {}
    return TokenUsage(
        prompt=int(data["prompt_tokens"]),
        completion=int(data["completion_tokens"]),
        cached=int(details.get("cached_tokens") or 0),
    )


def _timings(data: Mapping[str, Any]) -> Timings:
    return Timings(
        prompt_ms=float(data["prompt_ms"]),
        completion_ms=float(data["predicted_ms"]),
        completion_per_second=float(data["predicted_per_second"] or 0.0),
    )


def _malformed(what: str) -> InferenceError:
    return InferenceError(f"The model server sent something that is not a chat stream ({what}).")


async def _refusal(answer: StreamedAnswer) -> InferenceError:
    body = await answer.start_of_body()
    try:
        error = json.loads(body)["error"]
    except (ValueError, TypeError, KeyError):
        error = body.decode("utf-8", "replace")
    typed = error_from(error, answer.status)
    with contextlib.suppress(ValueError):
        typed.retry_after_ms = int(float(answer.headers.get("retry-after", "")) * 1000)
    return typed


def error_from(error: Any, status: int | None) -> InferenceError:
    """The typed error for a server's error object or text.

    Args:
        error: what the server gave under `error`, or the body of an answer that is no JSON.
        status: HTTP status, or None if the error came in the middle of a stream.
    """
    fields = error if isinstance(error, dict) else {"message": error}
    message = str(fields.get("message") or "no reason given")[:_MAX_MESSAGE_CHARACTERS]
    kinds = (fields.get("type"), fields.get("code"))
    details = {
        "status": status,
        "type": fields.get("type"),
        "prompt_tokens": fields.get("n_prompt_tokens"),
        "context_length": fields.get("n_ctx"),
    }
    details = {name: value for name, value in details.items() if isinstance(value, str | int)}
    if any(kind in _CONTEXT_ERRORS for kind in kinds):
        return InferenceError(
            f"The prompt does not fit into the model's context: {message}",
            code="context_exceeded",
            details=details,
        )
    return InferenceError(f"The model server answered with an error: {message}", details=details)
