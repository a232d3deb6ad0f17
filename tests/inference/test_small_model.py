"""A real model, SmolLM2, as the model library installs it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.conformance.backend.profiles import BACKENDS, parameters_of
from tests.inference.support import answer

from graphport.app.models import ModelFolder
from graphport.contracts.inference import ChatMessage, ChatRequest, ChatText, LoadParameters
from graphport.inference.gateway import LocalGateway
from graphport.process.child import LocalSpawner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.model]

PARAMETERS = LoadParameters(context_length=1024, slots=2)


@pytest.fixture(scope="module")
def library() -> ModelFolder:
    """The user's own library, so that the model is downloaded once for a machine."""
    library = ModelFolder()
    library.install("smollm2")
    return library


@pytest.fixture(params=parameters_of(one for one in BACKENDS if one.profile is not None))
async def small(library: ModelFolder, request: pytest.FixtureRequest) -> AsyncIterator[LocalGateway]:
    gateway = LocalGateway(request.param.profile(), LocalSpawner(), library=library)
    yield gateway
    await gateway.close()


@pytest.mark.timeout(180)
async def test_it_knows_the_capital_of_france(small: LocalGateway, library: ModelFolder) -> None:
    path = await asyncio.to_thread(library.path, "smollm2")
    assert path is not None
    question = "What is the capital of France? Answer with one word."

    text, done = await answer(small, path, question, PARAMETERS, temperature=0.0, max_tokens=24)

    assert "Paris" in text
    assert done.usage is not None
    if done.timings is not None:
        assert done.timings.completion_per_second > 0


@pytest.mark.timeout(180)
async def test_the_name_is_enough_and_equal_seeds_give_equal_texts(small: LocalGateway) -> None:
    messages = (ChatMessage(role="user", content="Write one sentence about the sea."),)
    request = ChatRequest(messages=messages, temperature=0.9, seed=11, max_tokens=16)

    async def ask() -> list[str]:
        events = small.chat("smollm2", request, PARAMETERS)
        return [event.text async for event in events if isinstance(event, ChatText)]

    first, second = await ask(), await ask()

    assert len(first) > 1, "the answer came in one piece"
    assert "".join(first) == "".join(second)
