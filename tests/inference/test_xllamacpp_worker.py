"""The gateway with real workers of llama.cpp."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.inference.support import SMALL, answer, busy_slots, request, until_idle

from graphport.contracts.inference import ChatProgress, ChatText, LoadParameters
from graphport.core.errors import GraphportError, InferenceError
from graphport.testing.gguf_models import write_successor_model

if TYPE_CHECKING:
    from graphport.inference.gateway import LocalGateway

pytestmark = pytest.mark.anyio


async def test_eight_streams_on_four_slots_each_get_their_own_text(gateway: LocalGateway, models: Path) -> None:
    letters = "abcdefgh"

    answers = await asyncio.gather(
        *(answer(gateway, models / "successor.gguf", letter, max_tokens=6) for letter in letters)
    )

    alphabet = "abcdefghijklmnopqrstuvwxyz"
    assert [text for text, _ in answers] == [alphabet[alphabet.index(letter) + 1 :][:6] for letter in letters]


async def test_streams_run_beside_each_other(gateway: LocalGateway, models: Path) -> None:
    """Four endless streams make progress in turns: each has text before any is closed."""
    model = str(models / "endless.gguf")
    async with contextlib.AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(contextlib.aclosing(gateway.chat(model, request("a"), SMALL)))
            for _ in range(4)
        ]
        for stream in streams:
            async for event in stream:
                if isinstance(event, ChatText):
                    break
        worker = await gateway.worker(model, SMALL)
        assert await busy_slots(worker) == 4


async def test_closing_an_answer_frees_its_slot(gateway: LocalGateway, models: Path) -> None:
    model = models / "endless.gguf"
    async with contextlib.aclosing(gateway.chat(str(model), request("a"), SMALL)) as events:
        async for event in events:
            if isinstance(event, ChatText):
                break
        worker = await gateway.worker(str(model), SMALL)
        assert await busy_slots(worker) == 1

    async with asyncio.timeout(5):
        await until_idle(worker)


async def test_cancelling_while_the_prompt_is_read_frees_the_slot(gateway: LocalGateway, tmp_path: Path) -> None:
    path = tmp_path / "slow.gguf"
    await asyncio.to_thread(write_successor_model, path, width=256, blocks=4, context_length=131_072)
    parameters = LoadParameters(context_length=32_768, slots=1, threads=1, batch_size=64)
    seen: asyncio.Queue[ChatProgress] = asyncio.Queue()

    async def read() -> None:
        async with contextlib.aclosing(gateway.chat(str(path), request("a" * 30_000), parameters)) as events:
            async for event in events:
                assert isinstance(event, ChatProgress), "the prompt was read before it could be cancelled"
                seen.put_nowait(event)

    task = asyncio.create_task(read())
    while not 0 < (progress := await seen.get()).processed < progress.total:
        pass
    worker = await gateway.worker(str(path), parameters)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with asyncio.timeout(5):
        await until_idle(worker)
    # The whole prompt takes most of a minute; the slot remembers how far it came.
    _, body = await worker.get("/slots")
    assert json.loads(body)[0]["n_prompt_tokens"] < 15_000
    assert (await answer(gateway, path, "x", parameters))[0] == "yz"


async def test_other_models_go_on_when_a_worker_dies(gateway: LocalGateway, models: Path) -> None:
    endless = str(models / "endless.gguf")
    other = models / "successor.gguf"
    await answer(gateway, other, "x")
    async with contextlib.aclosing(gateway.chat(endless, request("a"), SMALL)) as events:
        async for event in events:
            if isinstance(event, ChatText):
                break
        os.kill((await gateway.worker(endless, SMALL)).pid, signal.SIGKILL)

        with pytest.raises(InferenceError) as caught:
            async for _ in events:
                pass

    assert caught.value.code == "backend_crashed"
    assert caught.value.details is not None
    assert caught.value.details["returncode"] == -signal.SIGKILL
    assert "model loaded" in caught.value.details["output"]
    assert (await answer(gateway, other, "x"))[0] == "yz"


async def test_a_crash_leaves_no_socket_behind(gateway: LocalGateway, models: Path) -> None:
    worker = await gateway.worker(str(models / "successor.gguf"), SMALL)
    folder = worker.folder
    assert folder is not None
    assert Path(folder).exists()  # noqa: ASYNC240
    os.kill(worker.pid, signal.SIGKILL)

    async with asyncio.timeout(5):
        while await asyncio.to_thread(os.path.exists, folder):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_file_that_only_looks_like_a_model_is_refused(
    gateway: LocalGateway, models: Path, tmp_path: Path
) -> None:
    whole = await asyncio.to_thread((models / "successor.gguf").read_bytes)
    cut = tmp_path / "cut.gguf"
    await asyncio.to_thread(cut.write_bytes, whole[: len(whole) // 2])

    with pytest.raises(InferenceError) as caught:
        await answer(gateway, cut, "w")

    assert caught.value.code == "invalid_model"
    assert str(cut) in caught.value.message


async def test_the_smallest_allowed_context_works(gateway: LocalGateway, models: Path) -> None:
    parameters = LoadParameters(context_length=64, slots=1, threads=1, batch_size=16)

    text, done = await answer(gateway, models / "endless.gguf", "a", parameters)

    assert text.startswith("bcdef")
    assert done.finish_reason == "length"


async def test_a_backend_that_cannot_be_imported_says_what_it_lacks(
    gateway: LocalGateway, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('libgomp.so.1: cannot open shared object file')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(InferenceError) as raised:
        await answer(gateway, models / "successor.gguf", "a", max_tokens=1)

    assert raised.value.code == "backend_unavailable"
    assert "libgomp.so.1" in raised.value.message


async def test_open_answers_are_told_when_the_gateway_closes(gateway: LocalGateway, models: Path) -> None:
    async with contextlib.aclosing(gateway.chat(str(models / "endless.gguf"), request("a"), SMALL)) as events:
        async for event in events:
            if isinstance(event, ChatText):
                break
        await gateway.close()
        with pytest.raises(GraphportError) as caught:
            async for _ in events:
                pass
    assert caught.value.code == "shutting_down"
