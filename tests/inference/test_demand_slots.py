"""A demand that ends before its answer does frees the worker's slot, whatever the worker is at."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.inference.support import busy_slots, until_idle
from tests.support.evaluation import Bench, bench, graph, until

from graphport.contracts.inference import LoadParameters
from graphport.testing.gguf_models import write_successor_model

if TYPE_CHECKING:
    from pathlib import Path

    from graphport.inference.gateway import LocalGateway

pytestmark = pytest.mark.anyio

_CONTEXT = 32_768
_PARAMETERS = LoadParameters(context_length=_CONTEXT)

endings = pytest.mark.parametrize("ending", ["cancelled", "deadline_exceeded"])


def asks(model: Path, prompt: str) -> dict[str, Any]:
    data = {"model_path": str(model), "prompt": prompt, "context_length": _CONTEXT, "max_tokens": 100_000}
    return graph({"llm": ("llamacpp-inference", data)})


def start(b: Bench, ending: str, deadline_ms: int) -> int:
    options = {"deadline_ms": deadline_ms} if ending == "deadline_exceeded" else {}
    return b.start("llm", stream=True, events=True, **options)


async def end(b: Bench, demand: int, ending: str) -> None:
    if ending == "cancelled":
        b.evaluator.cancel(demand)
    assert (await b.sink.answer(demand)).code == ending


@endings
async def test_while_it_generates(gateway: LocalGateway, models: Path, ending: str) -> None:
    model = models / "endless.gguf"
    worker = await gateway.worker(str(model), _PARAMETERS)
    async with bench(services={"inference": gateway}) as b:
        b.open(asks(model, "a"))
        demand = start(b, ending, 1_500)
        await b.sink.streamed(demand)
        assert await busy_slots(worker) == 1
        await end(b, demand, ending)

        async with asyncio.timeout(10):
            await until_idle(worker)


@endings
async def test_while_it_reads_the_prompt(gateway: LocalGateway, tmp_path: Path, ending: str) -> None:
    model = tmp_path / "slow.gguf"
    await asyncio.to_thread(write_successor_model, model, width=256, blocks=4, context_length=131_072)
    worker = await gateway.worker(str(model), _PARAMETERS)
    async with bench(services={"inference": gateway}) as b:
        b.open(asks(model, "a" * 30_000))
        demand = start(b, ending, 1_500)
        await until(lambda: any(event.get("fraction") for _, event in b.sink.events(demand)))
        await end(b, demand, ending)

        async with asyncio.timeout(20):
            await until_idle(worker)
        assert not b.sink.chunks(demand), "the prompt was not read to its end"
        _, body = await worker.get("/slots")
        assert 0 < max(slot.get("n_prompt_tokens", 0) for slot in json.loads(body)) < 25_000


async def test_one_of_two_demands_for_one_answer_leaves_and_the_worker_goes_on(
    gateway: LocalGateway, models: Path
) -> None:
    model = models / "endless.gguf"
    worker = await gateway.worker(str(model), _PARAMETERS)
    async with bench(services={"inference": gateway}) as b:
        b.open(asks(model, "a"))
        first, second = b.start("llm", stream=True), b.start("llm", stream=True)
        for demand in (first, second):
            await b.sink.streamed(demand)
        assert await busy_slots(worker) == 1
        b.evaluator.cancel(first)
        seen = len(b.sink.chunks(second))
        await b.sink.streamed(second, seen + 10)

        assert await busy_slots(worker) == 1
        b.evaluator.cancel(second)
        async with asyncio.timeout(10):
            await until_idle(worker)
