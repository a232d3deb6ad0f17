"""What every kind of model worker must do, whatever program it runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.backend.profiles import PROFILES
from tests.inference.support import SMALL, answer, request

from graphport.contracts.inference import (
    ChatDone,
    ChatMessage,
    ChatRequest,
    ChatText,
    LoadParameters,
)
from graphport.core.errors import InferenceError

if TYPE_CHECKING:
    from graphport.inference.gateway import LocalGateway

pytestmark = pytest.mark.anyio

PROFILE_FOLDER = Path(__file__).parents[3] / "python" / "graphport" / "inference" / "profiles"


def test_every_profile_is_enrolled() -> None:
    files = {path.stem for path in PROFILE_FOLDER.glob("*.py")} - {"__init__"}

    assert {enrolled.module for enrolled in PROFILES} == files
    assert files


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.5])
async def test_the_text_is_exact(gateway: LocalGateway, models: Path, temperature: float) -> None:
    text, done = await answer(gateway, models / "successor.gguf", "w", temperature=temperature, seed=7)

    assert text == "xyz"
    assert done.finish_reason == "stop"
    assert done.usage is not None
    assert done.usage.completion in (3, 4)
    assert done.usage.prompt > 0


async def test_a_folder_is_a_model_too(gateway: LocalGateway, models: Path) -> None:
    text, _ = await answer(gateway, models, "w", max_tokens=2)

    assert text == "xy"


async def test_the_models_own_template_makes_the_prompt(gateway: LocalGateway, models: Path) -> None:
    messages = (ChatMessage(role="system", content="w"), ChatMessage(role="user", content="b"))
    events = gateway.chat(str(models / "templated.gguf"), ChatRequest(messages=messages), SMALL)

    text = "".join([event.text async for event in events if isinstance(event, ChatText)])

    assert text == "xyz", "the template puts the system's message last"


async def test_max_tokens_ends_the_answer(gateway: LocalGateway, models: Path) -> None:
    text, done = await answer(gateway, models / "endless.gguf", "z", max_tokens=5)

    assert text == "abcde"
    assert done.finish_reason == "length"


async def test_characters_of_several_tokens_arrive_whole(gateway: LocalGateway, models: Path) -> None:
    assert (await answer(gateway, models / "successor.gguf", "!"))[0] == "😀"


async def test_text_arrives_before_the_answer_is_finished(gateway: LocalGateway, models: Path) -> None:
    """An endless answer has no end, so any text that comes was streamed."""
    async with contextlib.aclosing(gateway.chat(str(models / "endless.gguf"), request("a"), SMALL)) as events:
        pieces = 0
        async for event in events:
            assert not isinstance(event, ChatDone)
            pieces += isinstance(event, ChatText)
            if pieces == 20:
                break


async def test_eight_at_a_time_get_their_own_answers(gateway: LocalGateway, models: Path) -> None:
    answers = await asyncio.gather(
        *(answer(gateway, models / "successor.gguf", letter, max_tokens=3) for letter in "abcdefgh")
    )

    assert [text for text, _ in answers] == ["bcd", "cde", "def", "efg", "fgh", "ghi", "hij", "ijk"]


async def test_a_slot_is_free_again_after_a_cancel(gateway: LocalGateway, models: Path) -> None:
    """With a single slot, a second answer can only come when the first has left it."""
    model = models / "endless.gguf"
    one_slot = LoadParameters(context_length=100_000, slots=1, threads=1)
    started = asyncio.Event()

    async def read() -> None:
        async with contextlib.aclosing(gateway.chat(str(model), request("a"), one_slot)) as events:
            async for event in events:
                if isinstance(event, ChatText):
                    started.set()

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (await answer(gateway, model, "a", one_slot, max_tokens=3))[0] == "bcd"


async def test_a_killed_worker_is_an_error_and_starts_again(gateway: LocalGateway, models: Path) -> None:
    model = models / "endless.gguf"
    async with contextlib.aclosing(gateway.chat(str(model), request("a"), SMALL)) as events:
        async for event in events:
            if isinstance(event, ChatText):
                break
        first = (await gateway.worker(str(model), SMALL)).pid
        os.kill(first, signal.SIGKILL)
        with pytest.raises(InferenceError) as caught:
            async for _ in events:
                pass

    assert caught.value.code == "backend_crashed"
    assert (await answer(gateway, model, "a", max_tokens=3))[0] == "bcd"
    assert (await gateway.worker(str(model), SMALL)).pid != first


async def test_each_slot_has_the_whole_context_length(gateway: LocalGateway, models: Path) -> None:
    parameters = LoadParameters(context_length=512, slots=4, threads=1)

    text, _ = await answer(gateway, models / "successor.gguf", "a" * 400 + "w", parameters)

    assert text == "xyz"


async def test_a_prompt_longer_than_the_context_is_named(gateway: LocalGateway, models: Path) -> None:
    parameters = LoadParameters(context_length=256, slots=1, threads=1)

    with pytest.raises(InferenceError) as caught:
        await answer(gateway, models / "successor.gguf", "a" * 400, parameters)

    assert caught.value.code == "context_exceeded"
    assert (await answer(gateway, models / "successor.gguf", "w", parameters))[0] == "xyz"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "model_not_found"),
        (b"", "invalid_model"),
        (b"Once upon a time", "invalid_model"),
        (b"GGUF\x03\x00", "invalid_model"),
        (b"GGUF\x03\x00\x00\x00" + bytes(8) + bytes(8) + bytes(64), "invalid_model"),
    ],
)
async def test_a_bad_model_file_has_its_code(
    gateway: LocalGateway, tmp_path: Path, content: bytes | None, code: str
) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        await asyncio.to_thread(path.write_bytes, content)

    with pytest.raises(InferenceError) as caught:
        await answer(gateway, path, "w")

    assert caught.value.code == code


async def test_a_truncated_model_has_its_code(gateway: LocalGateway, models: Path, tmp_path: Path) -> None:
    whole = await asyncio.to_thread((models / "successor.gguf").read_bytes)
    path = tmp_path / "cut.gguf"
    await asyncio.to_thread(path.write_bytes, whole[: len(whole) * 2 // 3])

    with pytest.raises(InferenceError) as caught:
        await answer(gateway, path, "w")

    assert caught.value.code == "invalid_model"


@pytest.mark.parametrize("wrong", [{"context_length": 1}, {"slots": 0}, {"batch_size": 0}, {"gpu_layers": -5}])
async def test_parameters_that_could_abort_it_are_refused(
    gateway: LocalGateway, models: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InferenceError) as caught:
        await answer(gateway, models / "successor.gguf", "w", LoadParameters(**wrong))

    assert caught.value.code == "invalid_input"


async def test_unloading_ends_the_process(gateway: LocalGateway, models: Path) -> None:
    model = str(models / "successor.gguf")
    pid = (await gateway.worker(model, SMALL)).pid

    assert await gateway.unload(model) == 1

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_closing_ends_every_process(gateway: LocalGateway, models: Path) -> None:
    pids = [(await gateway.worker(str(models / name), SMALL)).pid for name in ("successor.gguf", "endless.gguf")]

    await gateway.close()

    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
