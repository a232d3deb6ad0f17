"""The gateway's decisions: sharing, eviction, restart, unloading, closing. With workers that are none."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.inference.support import REQUEST, FakeProfile, FakeSpawner, write_header

from graphport.contracts.inference import Capabilities, ChatDone, ChatText, LoadParameters
from graphport.core.errors import GraphportError, InferenceError
from graphport.inference.gateway import CRASHES_FORGOTTEN_SECONDS, RESTART_DELAYS_SECONDS, LocalGateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from graphport.contracts.inference import ChatEvent

pytestmark = pytest.mark.anyio


DEFAULTS = LoadParameters()


class Stage:
    """A gateway with fake workers, a clock set by hand, and a folder of models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 0.0
        self.profile = FakeProfile()
        self.spawner = FakeSpawner()
        self.library: dict[str, Path] = {}
        self.gateway = LocalGateway(
            self.profile,
            self.spawner,
            library=self,
            max_workers=2,
            start_deadline_seconds=10,
            clock=lambda: self.now,
        )

    def path(self, name: str) -> Path | None:
        return self.library.get(name)

    def model(self, name: str) -> str:
        return str(write_header(self.folder / f"{name}.gguf"))

    async def ask(self, model: str, parameters: LoadParameters = DEFAULTS) -> list[ChatEvent]:
        events = self.gateway.chat(model, REQUEST, parameters)
        return [event async for event in events]

    async def opened(self, model: str) -> tuple[asyncio.Task[list[ChatEvent]], str]:
        """A request that has its first text and stays open until `may_finish`."""
        self.spawner.may_finish.clear()
        self.spawner.asked.clear()
        task = asyncio.create_task(self.ask(model))
        await self.spawner.asked.wait()
        return task, model

    def running(self) -> list[str]:
        return [
            os.path.basename(process.model)[:-5] for process in self.spawner.processes if process.returncode is None
        ]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.spawner.may_finish.set()
    await stage.gateway.close()
    assert stage.running() == []


async def failure(stage: Stage, model: str) -> GraphportError:
    with pytest.raises(GraphportError) as caught:
        await stage.ask(model)
    return caught.value


async def test_an_answer_streams(stage: Stage) -> None:
    events = await stage.ask(stage.model("a"))

    assert events == [ChatText("hello"), ChatDone(finish_reason="stop")]


async def test_callers_who_come_at_once_share_one_start(stage: Stage) -> None:
    model = stage.model("a")

    await asyncio.gather(*(stage.ask(model) for _ in range(20)))

    assert len(stage.spawner.processes) == 1
    assert stage.profile.available_checks == 1


async def test_other_load_parameters_are_another_worker(stage: Stage) -> None:
    model = stage.model("a")

    await stage.ask(model)
    await stage.ask(model, LoadParameters(context_length=4096))

    assert stage.running() == ["a", "a"]


async def test_a_replaced_file_is_another_worker_and_the_old_one_goes(stage: Stage) -> None:
    model = stage.model("a")
    await stage.ask(model)
    await asyncio.to_thread(write_header, stage.folder / "a.gguf", padding=8192)

    await stage.ask(model)

    await stage.spawner.processes[0].wait()
    assert stage.spawner.processes[0].stopped
    assert stage.running() == ["a"]


async def test_two_names_of_one_file_share_a_worker(stage: Stage) -> None:
    model = stage.model("a")
    link = stage.folder / "link.gguf"
    await asyncio.to_thread(link.symlink_to, model)

    await stage.ask(model)
    await stage.ask(str(link))

    assert len(stage.spawner.processes) == 1


async def test_the_worker_not_used_for_longest_makes_room(stage: Stage) -> None:
    models = {}
    for name in "ab":
        stage.now += 1
        models[name] = stage.model(name)
        await stage.ask(models[name])
    stage.now += 1
    await stage.ask(models["a"])

    await stage.ask(stage.model("c"))

    assert stage.running() == ["a", "c"]


async def test_a_busy_worker_is_never_evicted(stage: Stage) -> None:
    stage.now = 1
    open_request, _ = await stage.opened(stage.model("old"))
    stage.spawner.may_finish.set()
    await open_request
    open_request, _ = await stage.opened(stage.model("old"))
    stage.now = 2
    idle = stage.model("idle")
    await stage.gateway.worker(idle)

    await stage.gateway.worker(stage.model("new"))

    assert stage.running() == ["old", "new"]
    stage.spawner.may_finish.set()
    assert (await open_request)[-1] == ChatDone(finish_reason="stop")


async def test_a_new_model_waits_while_all_workers_are_busy(stage: Stage) -> None:
    first, _ = await stage.opened(stage.model("a"))
    second, _ = await stage.opened(stage.model("b"))
    third = asyncio.create_task(stage.ask(stage.model("c")))
    for _ in range(100):
        await asyncio.sleep(0)
    assert stage.running() == ["a", "b"]

    stage.spawner.may_finish.set()

    for task in (first, second, third):
        assert (await task)[-1] == ChatDone(finish_reason="stop")
    assert len(stage.running()) == 2
    assert "c" in stage.running()


async def test_a_death_ends_open_answers_and_the_next_use_starts_again(stage: Stage) -> None:
    request, model = await stage.opened(stage.model("a"))

    stage.spawner.processes[0].end(-9)

    with pytest.raises(InferenceError) as caught:
        await request
    assert caught.value.code == "backend_crashed"
    assert caught.value.details == {"output": "last words", "returncode": -9}
    stage.spawner.may_finish.set()
    assert (await stage.ask(model))[-1] == ChatDone(finish_reason="stop")


async def test_a_death_is_seen_although_somebody_holds_the_socket(stage: Stage) -> None:
    request, _ = await stage.opened(stage.model("a"))

    stage.spawner.processes[0].end(-6, socket_stays=True)

    with pytest.raises(InferenceError) as caught:
        await request
    assert caught.value.code == "backend_crashed"


async def test_repeated_crashes_make_the_next_start_wait(stage: Stage) -> None:
    model = stage.model("a")
    stage.spawner.dies_at_start = -6
    for _ in range(2):
        assert (await failure(stage, model)).code == "backend_crashed"

    refused = await failure(stage, model)

    assert refused.code == "backend_crashed"
    assert refused.retry_after_ms == pytest.approx(RESTART_DELAYS_SECONDS[1] * 1000, abs=1)
    assert len(stage.spawner.processes) == 2
    stage.now += RESTART_DELAYS_SECONDS[1]
    stage.spawner.dies_at_start = None
    await stage.ask(model)


async def test_crashes_far_apart_are_not_counted_together(stage: Stage) -> None:
    model = stage.model("a")
    stage.spawner.dies_at_start = -6
    await failure(stage, model)
    stage.now += CRASHES_FORGOTTEN_SECONDS + 1
    await failure(stage, model)

    assert (await failure(stage, model)).retry_after_ms is None


async def test_a_good_answer_forgives_old_crashes(stage: Stage) -> None:
    model = stage.model("a")
    for _ in range(3):
        await stage.ask(model)
        stage.spawner.processes[-1].end(-11)

    assert (await stage.ask(model))[-1] == ChatDone(finish_reason="stop")


async def test_a_refused_file_is_no_crash_and_each_caller_gets_an_error_of_his_own(
    stage: Stage,
) -> None:
    model = stage.model("a")
    stage.spawner.dies_at_start = 3

    errors = await asyncio.gather(*(failure(stage, model) for _ in range(3)))

    assert {error.code for error in errors} == {"invalid_model"}
    assert len({id(error) for error in errors}) == 3
    assert "last words" in errors[0].message
    stage.spawner.dies_at_start = None
    await stage.ask(model)


async def test_a_missing_backend_says_what_to_type(stage: Stage) -> None:
    stage.profile.missing = True

    error = await failure(stage, stage.model("a"))

    assert error.code == "backend_unavailable"
    assert "pip install" in error.message
    stage.profile.missing = False
    await stage.ask(stage.model("a"))


async def test_a_worker_that_never_gets_ready_is_stopped(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    gateway = LocalGateway(stage.profile, stage.spawner, start_deadline_seconds=0.05)
    stage.spawner.may_start.clear()

    with pytest.raises(InferenceError) as caught:
        await gateway.worker(stage.model("a"))

    assert caught.value.code == "backend_timeout"
    assert stage.spawner.processes[0].stopped
    await gateway.close()


async def test_a_cancelled_caller_does_not_stop_the_start_for_others(stage: Stage) -> None:
    stage.spawner.may_start.clear()
    model = stage.model("a")
    first = asyncio.create_task(stage.ask(model))
    second = asyncio.create_task(stage.ask(model))
    await stage.spawner.spawned.wait()

    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    stage.spawner.may_start.set()

    assert (await second)[-1] == ChatDone(finish_reason="stop")
    assert len(stage.spawner.processes) == 1


async def test_unload_waits_for_open_answers(stage: Stage) -> None:
    request, model = await stage.opened(stage.model("a"))
    unloading = asyncio.create_task(stage.gateway.unload(model))
    for _ in range(50):
        await asyncio.sleep(0)
    assert stage.running() == ["a"]

    stage.spawner.may_finish.set()

    assert (await request)[-1] == ChatDone(finish_reason="stop")
    assert await unloading == 1
    assert stage.running() == []


@pytest.mark.parametrize("path", ["/nowhere.gguf", "", "nul\0byte"])
async def test_unload_of_what_is_not_loaded_does_nothing(stage: Stage, path: str) -> None:
    assert await stage.gateway.unload(path) == 0


async def test_close_lets_open_answers_end_if_asked_to(stage: Stage) -> None:
    request, _ = await stage.opened(stage.model("a"))
    closing = asyncio.create_task(stage.gateway.close(drain_seconds=10))
    await asyncio.sleep(0)

    stage.spawner.may_finish.set()

    assert (await request)[-1] == ChatDone(finish_reason="stop")
    await closing


async def test_close_stops_starts_and_refuses_new_requests(stage: Stage) -> None:
    stage.spawner.may_start.clear()
    model = stage.model("a")
    waiting = asyncio.create_task(stage.ask(model))
    await stage.spawner.spawned.wait()

    await stage.gateway.close()

    with pytest.raises(GraphportError) as caught:
        await waiting
    assert caught.value.code == "shutting_down"
    assert (await failure(stage, model)).code == "shutting_down"
    assert stage.running() == []
    await stage.gateway.close()


async def test_requests_beyond_the_slots_wait_in_order(stage: Stage) -> None:
    stage.spawner.may_finish.clear()
    worker = await stage.gateway.worker(stage.model("a"), LoadParameters(slots=1))
    order: list[int] = []

    async def ask(number: int) -> None:
        async with contextlib.aclosing(worker.chat(REQUEST)) as events:
            order.extend([number async for event in events if isinstance(event, ChatText)])

    first = asyncio.create_task(ask(0))
    await stage.spawner.asked.wait()
    others = [asyncio.create_task(ask(number)) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    others[0].cancel()

    stage.spawner.may_finish.set()

    await asyncio.gather(first, *others[1:])
    assert order == [0, 2, 3]


async def test_wrong_parameters_are_refused_before_anything_starts(stage: Stage) -> None:
    with pytest.raises(InferenceError) as caught:
        await stage.ask(stage.model("a"), LoadParameters(context_length=0))

    assert caught.value.code == "invalid_input"
    assert stage.spawner.processes == []


async def test_a_name_stands_for_an_installed_model(stage: Stage) -> None:
    stage.library["small"] = write_header(stage.folder / "installed.gguf")

    await stage.ask("small")

    assert stage.running() == ["installed"]
    assert (await failure(stage, "unknown")).code == "model_not_found"


@pytest.mark.parametrize("cancel_in_prompt", [True, False])
async def test_leaving_a_prompt_gives_up_a_worker_that_cannot_leave_it(stage: Stage, cancel_in_prompt: bool) -> None:
    stage.profile.capabilities = Capabilities(max_slots=1, cancel_in_prompt=cancel_in_prompt)
    stage.spawner.may_answer.clear()
    model = stage.model("a")
    reading = asyncio.create_task(stage.ask(model))
    await stage.spawner.asked.wait()
    waiting = [asyncio.create_task(stage.ask(model)) for _ in range(3)]
    for _ in range(100):
        await asyncio.sleep(0)

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    stage.spawner.may_answer.set()

    for task in waiting:
        assert (await task)[-1] == ChatDone(finish_reason="stop")
    assert len(stage.spawner.processes) == (1 if cancel_in_prompt else 2)
    assert stage.spawner.processes[0].stopped is not cancel_in_prompt
    assert stage.running() == ["a"]


async def test_leaving_an_answer_that_has_begun_gives_up_nothing(stage: Stage) -> None:
    stage.profile.capabilities = Capabilities(max_slots=1, cancel_in_prompt=False)
    model = stage.model("a")
    stage.spawner.may_finish.clear()
    async with contextlib.aclosing(stage.gateway.chat(model, REQUEST)) as events:
        assert await anext(events) == ChatText("hello")
    stage.spawner.may_finish.set()

    await stage.ask(model)

    assert len(stage.spawner.processes) == 1


async def test_more_slots_than_a_backend_has_are_not_made(stage: Stage) -> None:
    stage.profile.capabilities = Capabilities(max_slots=2)
    model = stage.model("a")

    await stage.ask(model, LoadParameters(slots=2))
    await stage.ask(model, LoadParameters(slots=8))

    assert len(stage.spawner.processes) == 1


@pytest.mark.parametrize("bound", [{"grammar": 'root ::= "a"'}, {"json_schema": {}}])
async def test_what_a_backend_cannot_do_is_refused_before_anything_starts(stage: Stage, bound: dict[str, Any]) -> None:
    stage.profile.capabilities = Capabilities(grammar=False)

    with pytest.raises(InferenceError) as caught:
        await anext(stage.gateway.chat(stage.model("a"), replace(REQUEST, **bound)))

    assert caught.value.code == "backend_unsupported"
    assert "fake" in caught.value.message
    assert stage.spawner.processes == []
