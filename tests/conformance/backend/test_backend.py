"""What every model backend must do, whatever program it runs. What one cannot do, its capabilities must say."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.conformance.backend.profiles import BACKENDS
from tests.inference.support import SMALL, answer, request

from graphport.contracts.inference import (
    Capabilities,
    ChatDone,
    ChatMessage,
    ChatProgress,
    ChatRequest,
    ChatText,
    LoadParameters,
)
from graphport.core.errors import InferenceError
from graphport.testing.gguf_models import write_successor_model

if TYPE_CHECKING:
    from graphport.contracts.inference import InferenceGateway

pytestmark = pytest.mark.anyio

INFERENCE = Path(__file__).parents[3] / "python" / "graphport" / "inference"


def test_every_backend_is_enrolled() -> None:
    profiles = {f"profiles/{path.name}" for path in (INFERENCE / "profiles").glob("*.py")} - {"profiles/__init__.py"}

    assert len(profiles) == 3
    assert {enrolled.file for enrolled in BACKENDS} == profiles | {"external.py"}
    assert len(BACKENDS) == 4


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.5])
async def test_the_text_is_exact(gateway: InferenceGateway, models: Path, temperature: float) -> None:
    text, done = await answer(gateway, models / "successor.gguf", "w", temperature=temperature, seed=7)

    assert text == "xyz"
    assert done.finish_reason == "stop"
    assert done.usage is not None
    assert done.usage.completion in (3, 4)
    assert done.usage.prompt > 0


async def test_a_folder_is_a_model_too(gateway: InferenceGateway, models: Path) -> None:
    text, _ = await answer(gateway, models, "w", max_tokens=2)

    assert text == "xy"


async def test_the_models_own_template_makes_the_prompt(gateway: InferenceGateway, models: Path) -> None:
    messages = (ChatMessage(role="system", content="w"), ChatMessage(role="user", content="b"))
    events = gateway.chat(str(models / "templated.gguf"), ChatRequest(messages=messages), SMALL)

    text = "".join([event.text async for event in events if isinstance(event, ChatText)])

    assert text == "xyz", "the template puts the system's message last"


async def test_max_tokens_ends_the_answer(gateway: InferenceGateway, models: Path) -> None:
    text, done = await answer(gateway, models / "endless.gguf", "z", max_tokens=5)

    assert text == "abcde"
    assert done.finish_reason == "length"


async def test_characters_of_several_tokens_arrive_whole(gateway: InferenceGateway, models: Path) -> None:
    assert (await answer(gateway, models / "successor.gguf", "!"))[0] == "😀"


async def test_text_arrives_before_the_answer_is_finished(gateway: InferenceGateway, models: Path) -> None:
    """An endless answer has no end, so any text that comes was streamed."""
    async with contextlib.aclosing(gateway.chat(str(models / "endless.gguf"), request("a"), SMALL)) as events:
        pieces = 0
        async for event in events:
            assert not isinstance(event, ChatDone)
            pieces += isinstance(event, ChatText)
            if pieces == 20:
                break


async def test_eight_at_a_time_get_their_own_answers(gateway: InferenceGateway, models: Path) -> None:
    answers = await asyncio.gather(
        *(answer(gateway, models / "successor.gguf", letter, max_tokens=3) for letter in "abcdefgh")
    )

    assert [text for text, _ in answers] == ["bcd", "cde", "def", "efg", "fgh", "ghi", "hij", "ijk"]


async def test_a_slot_is_free_again_after_a_cancel(gateway: InferenceGateway, models: Path) -> None:
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


async def test_each_slot_has_the_whole_context_length(gateway: InferenceGateway, models: Path) -> None:
    parameters = LoadParameters(context_length=512, slots=4, threads=1)

    text, _ = await answer(gateway, models / "successor.gguf", "a" * 400 + "w", parameters)

    assert text == "xyz"


async def test_a_prompt_longer_than_the_context_is_named(gateway: InferenceGateway, models: Path) -> None:
    parameters = LoadParameters(context_length=256, slots=1, threads=1)

    with pytest.raises(InferenceError) as caught:
        await answer(gateway, models / "successor.gguf", "a" * 400, parameters)

    assert caught.value.code == "context_exceeded"
    assert (await answer(gateway, models / "successor.gguf", "w", parameters))[0] == "xyz"


async def test_a_stop_text_ends_the_answer(gateway: InferenceGateway, models: Path) -> None:
    text, done = await answer(gateway, models / "endless.gguf", "a", stop=("fg",))

    assert text == "bcde"
    assert done.finish_reason == "stop"


async def test_equal_seeds_give_equal_texts(gateway: InferenceGateway, models: Path) -> None:
    texts = [
        (await answer(gateway, models / "random.gguf", "a", temperature=1.0, seed=seed, max_tokens=12))[0]
        for seed in (5, 5, 6)
    ]

    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


async def test_a_grammar_bounds_the_answer_or_is_refused(
    gateway: InferenceGateway, models: Path, can: Capabilities
) -> None:
    model = models / "successor.gguf"
    if can.grammar:
        assert (await answer(gateway, model, "a", grammar='root ::= "bc"'))[0] == "bc"
        return

    with pytest.raises(InferenceError) as caught:
        await answer(gateway, model, "a", grammar='root ::= "bc"')

    assert caught.value.code == "backend_unsupported"
    assert "grammar" in caught.value.message
    assert "xllamacpp" in caught.value.message


async def test_a_json_schema_bounds_the_answer_or_is_refused(
    gateway: InferenceGateway, models: Path, can: Capabilities
) -> None:
    model = models / "successor.gguf"
    if can.grammar:
        assert (await answer(gateway, model, "a", json_schema={"const": 7}))[0].strip() == "7"
        return

    with pytest.raises(InferenceError) as caught:
        await answer(gateway, model, "a", json_schema={"const": 7})

    assert caught.value.code == "backend_unsupported"


async def test_an_invalid_grammar_is_an_error_and_the_next_answer_comes(
    gateway: InferenceGateway, models: Path, can: Capabilities
) -> None:
    with pytest.raises(InferenceError) as caught:
        await answer(gateway, models / "successor.gguf", "w", grammar="root ::= (((")

    assert caught.value.code == ("backend_failed" if can.grammar else "backend_unsupported")
    assert (await answer(gateway, models / "successor.gguf", "w"))[0] == "xyz"


async def test_an_answer_reports_what_its_backend_promises(
    gateway: InferenceGateway, models: Path, can: Capabilities
) -> None:
    progress = []
    async with contextlib.aclosing(gateway.chat(str(models / "successor.gguf"), request("w"), SMALL)) as events:
        async for event in events:
            if isinstance(event, ChatProgress):
                progress.append(event)
    assert isinstance(event, ChatDone)

    assert (event.timings is not None) is can.timings
    assert bool(progress) is can.progress


async def test_leaving_while_the_prompt_is_read_makes_room_for_the_next(
    gateway: InferenceGateway, tmp_path: Path, can: Capabilities
) -> None:
    """The whole prompt takes most of a minute, so an answer in time means that it was left or its worker replaced.

    Somebody who waits behind it gets an answer too, from whatever worker there then is.
    """
    path = tmp_path / "slow.gguf"
    await asyncio.to_thread(write_successor_model, path, width=256, blocks=4, context_length=131_072)
    parameters = LoadParameters(context_length=32_768, slots=1, threads=1, batch_size=64)
    assert (await answer(gateway, path, "x", parameters))[0] == "yz"
    begun = asyncio.Event()

    async def read() -> None:
        async with contextlib.aclosing(gateway.chat(str(path), request("a" * 30_000), parameters)) as events:
            async for event in events:
                assert isinstance(event, ChatProgress), "the prompt was read before it could be left"
                begun.set()

    task = asyncio.create_task(read())
    if can.progress:
        await begun.wait()
    else:
        await asyncio.sleep(0.3)  # it says nothing while it reads; a prompt that is not begun yet is left as well
    waiting = asyncio.create_task(answer(gateway, path, "x", parameters))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with asyncio.timeout(15):
        assert (await waiting)[0] == "yz"
