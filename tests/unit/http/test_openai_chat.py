"""The chat client against a real server that says exactly what each test wants, good or bad."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.http.support import CHUNKED_HEAD, LAST_CHUNK, ScriptedServer, chunk, event

from graphport.contracts.inference import (
    ChatDone,
    ChatMessage,
    ChatProgress,
    ChatReasoning,
    ChatRequest,
    ChatText,
    Timings,
    TokenUsage,
)
from graphport.core.errors import InferenceError
from graphport.http.client import HttpClient
from graphport.http.openai_chat import request_body, stream_chat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graphport.contracts.inference import ChatEvent

pytestmark = pytest.mark.anyio

REQUEST = ChatRequest(messages=(ChatMessage(role="user", content="hi"),))
FINISH = '{"choices":[{"delta":{},"finish_reason":"stop"}]}'
DONE = event("[DONE]") + LAST_CHUNK


def text_event(text: str) -> bytes:
    return event(json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": None}]}))


async def ask(
    folder: Path, pieces: Sequence[bytes], *, idle_seconds: float = 30.0, hold: bool = False
) -> list[ChatEvent]:
    async with ScriptedServer(pieces, hold=hold).listen(folder) as path:
        client = HttpClient("http://localhost", socket_path=path, idle_seconds=idle_seconds)
        try:
            async with contextlib.aclosing(stream_chat(client, REQUEST)) as events:
                return [one async for one in events]
        finally:
            await client.close()


def joined(events: list[ChatEvent]) -> str:
    return "".join(one.text for one in events if isinstance(one, ChatText))


async def refusal(folder: Path, pieces: Sequence[bytes], **options: Any) -> InferenceError:
    with pytest.raises(InferenceError) as caught:
        await ask(folder, pieces, **options)
    return caught.value


async def test_a_whole_answer_becomes_typed_events(tmp_path: Path) -> None:
    progress = '{"choices":[],"prompt_progress":{"total":9,"cache":2,"processed":5}}'
    reasoning = '{"choices":[{"delta":{"reasoning_content":"hm"},"finish_reason":null}]}'
    last = (
        '{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,'
        '"prompt_tokens_details":{"cached_tokens":2}},'
        '"timings":{"prompt_ms":1,"predicted_ms":4,"predicted_per_second":500.0}}'
    )
    pieces = [CHUNKED_HEAD, event(progress), event(reasoning), text_event("a"), text_event("b")]

    events = await ask(tmp_path, [*pieces, event(FINISH), event(last), DONE])

    assert ChatProgress(processed=5, total=9, cached=2) in events
    assert ChatReasoning("hm") in events
    assert joined(events) == "ab"
    assert events[-1] == ChatDone(
        finish_reason="stop",
        usage=TokenUsage(prompt=9, completion=2, cached=2),
        timings=Timings(prompt_ms=1, completion_ms=4, completion_per_second=500.0),
    )


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_characters_cut_by_the_network_arrive_whole(tmp_path: Path, size: int) -> None:
    raw = "data: " + json.dumps({"choices": [{"delta": {"content": "ä😀é"}}]}, ensure_ascii=False) + "\n\n"
    data = raw.encode()
    pieces = [chunk(data[at : at + size]) for at in range(0, len(data), size)]

    events = await ask(tmp_path, [CHUNKED_HEAD, *pieces, event(FINISH), DONE])

    assert joined(events) == "ä😀é"


async def test_texts_that_arrive_together_are_joined(tmp_path: Path) -> None:
    together = text_event("a") + text_event("b") + text_event("c") + event(FINISH) + DONE

    events = await ask(tmp_path, [CHUNKED_HEAD + together])

    assert [one for one in events if isinstance(one, ChatText)] == [ChatText("abc")]


async def test_an_error_in_the_middle_is_an_error(tmp_path: Path) -> None:
    broken = event('{"error":{"code":500,"message":"slot lost","type":"server_error"}}')

    error = await refusal(tmp_path, [CHUNKED_HEAD, text_event("a"), broken, DONE])

    assert error.code == "backend_failed"
    assert "slot lost" in error.message


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([CHUNKED_HEAD, text_event("a")], "middle"),
        ([CHUNKED_HEAD, text_event("a"), LAST_CHUNK], "before it was finished"),
        ([CHUNKED_HEAD, text_event("a"), DONE], "before it was finished"),
        ([CHUNKED_HEAD, b"zz\r\n"], "broke off"),
        ([CHUNKED_HEAD, event("{not json")], "not a chat stream"),
        ([CHUNKED_HEAD, event("[1]")], "not a chat stream"),
        ([CHUNKED_HEAD, event('{"choices":[{"delta":{"content":7}}]}')], "not a chat stream"),
        ([CHUNKED_HEAD, event('{"choices":[5]}')], "not a chat stream"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ndata: x"], "middle"),
        ([b"HTTP/1.1 200 OK\r\n"], "before it answered"),
        ([b"SSH-2.0-OpenSSH\r\n\r\n"], "not HTTP"),
    ],
)
async def test_what_looks_like_an_end_or_is_no_stream_is_an_error(
    tmp_path: Path, pieces: list[bytes], words: str
) -> None:
    error = await refusal(tmp_path, pieces)

    assert error.code == "backend_failed"
    assert words in error.message


async def test_silence_is_an_error_after_a_while(tmp_path: Path) -> None:
    error = await refusal(tmp_path, [CHUNKED_HEAD, text_event("a")], idle_seconds=0.05, hold=True)

    assert error.code == "backend_timeout"


async def test_nobody_listening_is_an_error(tmp_path: Path) -> None:
    client = HttpClient("http://localhost", socket_path=str(tmp_path / "nobody"))

    with pytest.raises(InferenceError) as caught:
        await client.get("/health")

    await client.close()
    assert caught.value.code == "backend_unavailable"


def answer(status: str, body: bytes, headers: bytes = b"") -> list[bytes]:
    length = str(len(body)).encode()
    return [b"HTTP/1.1 " + status.encode() + b"\r\nContent-Length: " + length + b"\r\n" + headers + b"\r\n", body]


async def test_a_prompt_that_is_too_long_has_its_own_code(tmp_path: Path) -> None:
    body = (
        b'{"error":{"code":400,"message":"too long","type":"exceed_context_size_error",'
        b'"n_prompt_tokens":401,"n_ctx":256}}'
    )

    error = await refusal(tmp_path, answer("400 Bad Request", body))

    assert error.code == "context_exceeded"
    assert error.details is not None
    assert error.details["prompt_tokens"] == 401
    assert error.details["context_length"] == 256


@pytest.mark.parametrize(
    "body", [b"<html>nginx</html>", b"", b"[]", b"null", b'{"error":"plain words"}', b'{"error":{}}']
)
async def test_any_refusal_is_a_typed_error(tmp_path: Path, body: bytes) -> None:
    error = await refusal(tmp_path, answer("503 Service Unavailable", body, b"Retry-After: 2\r\n"))

    assert error.code == "backend_failed"
    assert error.retry_after_ms == 2000


@pytest.mark.parametrize("piece_of_head", [b"", CHUNKED_HEAD])
async def test_cancelling_closes_the_connection(tmp_path: Path, piece_of_head: bytes) -> None:
    server = ScriptedServer([piece_of_head], hold=True)
    async with server.listen(tmp_path) as path:
        client = HttpClient("http://localhost", socket_path=path)

        async def read() -> None:
            async for _ in stream_chat(client, REQUEST):
                pass

        task = asyncio.create_task(read())
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await server.hung_up.wait()
        await client.close()


async def test_abort_fails_open_and_later_requests_at_once(tmp_path: Path) -> None:
    server = ScriptedServer([CHUNKED_HEAD, text_event("a")], hold=True)
    async with server.listen(tmp_path) as path:
        client = HttpClient("http://localhost", socket_path=path)
        events = stream_chat(client, REQUEST)
        assert await anext(events) == ChatText("a")

        client.abort(lambda: InferenceError("gone", code="backend_crashed"))

        for again in (events, stream_chat(client, REQUEST)):
            with pytest.raises(InferenceError) as caught:
                await anext(again)
            assert caught.value.code == "backend_crashed"
        await client.close()


async def test_the_key_travels_as_bearer_token(tmp_path: Path) -> None:
    server = ScriptedServer(answer("200 OK", b"ok"))
    async with server.listen(tmp_path) as path:
        client = HttpClient("http://localhost", socket_path=path, api_key="k1")
        assert await client.get("/health") == (200, b"ok")
        await client.close()

    assert b"authorization: bearer k1" in server.requests[0].lower()


async def test_proxies_of_the_environment_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    events = await ask(tmp_path, [CHUNKED_HEAD, text_event("a"), event(FINISH), DONE])

    assert joined(events) == "a"


def test_the_request_always_asks_for_progress_and_usage() -> None:
    body = request_body(REQUEST)

    assert body["return_progress"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert "temperature" not in body


def test_every_sampling_field_is_sent() -> None:
    request = ChatRequest(
        messages=REQUEST.messages,
        max_tokens=5,
        temperature=0.0,
        seed=2**40,
        stop=("x",),
        top_p=0.5,
        top_k=3,
        min_p=0.1,
        repeat_penalty=1.1,
        grammar="root ::= [a-z]",
        json_schema={"type": "object"},
    )

    body = request_body(request)

    assert body["temperature"] == 0.0
    assert 0 <= body["seed"] < 0xFFFF_FFFF
    assert body["stop"] == ["x"]
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert {"max_tokens", "top_p", "top_k", "min_p", "repeat_penalty", "grammar"} <= body.keys()
