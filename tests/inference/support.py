"""What tests with real workers share: short ways to ask, and a look at the worker's slots."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from graphport.contracts.inference import ChatDone, ChatMessage, ChatRequest, ChatText, LoadParameters

if TYPE_CHECKING:
    from pathlib import Path

    from graphport.contracts.inference import InferenceGateway
    from graphport.inference.worker import Worker

SMALL = LoadParameters(context_length=4096, slots=4, threads=1)


def request(prompt: str, **options: Any) -> ChatRequest:
    """A request with one message of the user."""
    return ChatRequest(messages=(ChatMessage(role="user", content=prompt),), **options)


async def answer(
    gateway: InferenceGateway, model: Path, prompt: str, parameters: LoadParameters = SMALL, **options: Any
) -> tuple[str, ChatDone]:
    """The whole text of an answer, and how it ended."""
    text = ""
    done: ChatDone | None = None
    async with contextlib.aclosing(gateway.chat(str(model), request(prompt, **options), parameters)) as events:
        async for event in events:
            if isinstance(event, ChatText):
                text += event.text
            elif isinstance(event, ChatDone):
                done = event
    assert done is not None
    return text, done


async def busy_slots(worker: Worker) -> int:
    """How many slots the worker computes for, by its own account."""
    status, body = await worker.get("/slots")
    assert status == 200
    return sum(slot["is_processing"] for slot in json.loads(body))


async def until_idle(worker: Worker) -> None:
    """Wait until all slots are free. The caller's timeout bounds it."""
    # Another process's state: there is no event to wait for.
    while await busy_slots(worker):  # noqa: ASYNC110
        await asyncio.sleep(0.005)
