"""The gateway with real workers of llama.cpp."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.inference.support import SMALL, answer, busy_slots, request, until_idle

from graphport.contracts.inference import ChatProgress, ChatText, LoadParameters, WorkerAddress
from graphport.core.errors import GraphportError, InferenceError
from graphport.inference import worker as worker_module
from graphport.inference.gguf_file import resolve_model
from graphport.inference.profiles.xllamacpp import XllamacppProfile
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


async def test_characters_of_several_tokens_arrive_whole(gateway: LocalGateway, models: Path) -> None:
    text, done = await answer(gateway, models / "successor.gguf", "!")

    assert text == "😀"
    assert done.finish_reason == "stop"


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


async def test_the_socket_folder_is_for_this_user_only(gateway: LocalGateway, models: Path) -> None:
    worker = await gateway.worker(str(models / "successor.gguf"), SMALL)

    assert worker.folder is not None
    mode = (await asyncio.to_thread(os.stat, worker.folder)).st_mode
    assert mode & 0o777 == 0o700


async def test_a_long_temporary_folder_means_tcp_with_a_key(
    gateway: LocalGateway, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "MAX_SOCKET_PATH_BYTES", 5)

    text, _ = await answer(gateway, models / "successor.gguf", "w")

    assert text == "xyz"
    worker = await gateway.worker(str(models / "successor.gguf"), SMALL)
    assert worker.folder is None
    reader, writer = await asyncio.open_connection("127.0.0.1", int(worker.url.rpartition(":")[2]))
    writer.write(b"GET /slots HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b" 401 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_an_invalid_grammar_is_refused_and_the_worker_lives(gateway: LocalGateway, models: Path) -> None:
    model = models / "successor.gguf"
    with pytest.raises(InferenceError) as caught:
        await answer(gateway, model, "w", grammar="root ::= (((")

    assert caught.value.code == "backend_failed"
    assert "grammar" in caught.value.message
    assert (await answer(gateway, model, "w"))[0] == "xyz"


async def test_a_grammar_bounds_the_answer(gateway: LocalGateway, models: Path) -> None:
    text, _ = await answer(gateway, models / "successor.gguf", "a", grammar='root ::= "bc"')

    assert text == "bc"


async def test_a_stop_text_ends_the_answer(gateway: LocalGateway, models: Path) -> None:
    text, done = await answer(gateway, models / "endless.gguf", "a", stop=("fg",))

    assert text == "bcde"
    assert done.finish_reason == "stop"


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


ENGINE = """
import asyncio, sys
from graphport.inference.gateway import LocalGateway
from graphport.inference.profiles.xllamacpp import XllamacppProfile
from graphport.process.child import LocalSpawner
from tests.inference.support import SMALL, request

async def main():
    gateway = LocalGateway(XllamacppProfile(), LocalSpawner())
    worker = await gateway.worker(sys.argv[1], SMALL)
    async for event in gateway.chat(sys.argv[1], request("a"), SMALL):
        print(worker.pid, worker.folder, flush=True)

asyncio.run(main())
"""


def test_a_worker_dies_with_its_engine(models: Path) -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(models / "endless.gguf")],
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'python'}:{root}"},
    ) as engine:
        assert engine.stdout is not None
        pid, folder = engine.stdout.readline().decode().split()
        watch = os.pidfd_open(int(pid))
        try:
            engine.kill()
            readable, _, _ = select.select([watch], [], [], 10)
        finally:
            os.close(watch)

    assert readable, "the worker outlived its engine by ten seconds"
    assert not Path(folder).exists()


@pytest.mark.parametrize("end", ["life line", "SIGTERM"])
def test_a_worker_ends_cleanly_when_asked(models: Path, tmp_path: Path, end: str) -> None:
    socket_folder = tmp_path / "s"
    socket_folder.mkdir()
    address = WorkerAddress(socket_path=str(socket_folder / "w.sock"))
    command = XllamacppProfile().command(resolve_model(str(models / "successor.gguf")), SMALL, address)
    with subprocess.Popen(
        command.argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **command.env},
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdin is not None
        assert XllamacppProfile().address(worker.stdout.readline(), address) == address
        if end == "SIGTERM":
            worker.terminate()
        else:
            worker.stdin.close()
        assert worker.wait(timeout=10) == 0
    assert not socket_folder.exists()
