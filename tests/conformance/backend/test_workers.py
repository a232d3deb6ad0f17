"""What every kind of worker that we start must do: refuse bad files, die and come back, leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.inference.support import SMALL, answer, request

from graphport.contracts.inference import ChatText, LoadParameters, WorkerAddress
from graphport.core.errors import InferenceError
from graphport.inference import worker as worker_module
from graphport.inference.gguf_file import resolve_model

if TYPE_CHECKING:
    from graphport.contracts.inference import WorkerProfile
    from graphport.inference.gateway import LocalGateway

pytestmark = pytest.mark.anyio


async def test_a_killed_worker_is_an_error_and_starts_again(workers: LocalGateway, models: Path) -> None:
    model = models / "endless.gguf"
    async with contextlib.aclosing(workers.chat(str(model), request("a"), SMALL)) as events:
        async for event in events:
            if isinstance(event, ChatText):
                break
        first = (await workers.worker(str(model), SMALL)).pid
        os.kill(first, signal.SIGKILL)
        with pytest.raises(InferenceError) as caught:
            async for _ in events:
                pass

    assert caught.value.code == "backend_crashed"
    assert (await answer(workers, model, "a", max_tokens=3))[0] == "bcd"
    assert (await workers.worker(str(model), SMALL)).pid != first


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
    workers: LocalGateway, tmp_path: Path, content: bytes | None, code: str
) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        await asyncio.to_thread(path.write_bytes, content)

    with pytest.raises(InferenceError) as caught:
        await answer(workers, path, "w")

    assert caught.value.code == code


async def test_a_truncated_model_has_its_code(workers: LocalGateway, models: Path, tmp_path: Path) -> None:
    whole = await asyncio.to_thread((models / "successor.gguf").read_bytes)
    path = tmp_path / "cut.gguf"
    await asyncio.to_thread(path.write_bytes, whole[: len(whole) * 2 // 3])

    with pytest.raises(InferenceError) as caught:
        await answer(workers, path, "w")

    assert caught.value.code == "invalid_model"


@pytest.mark.parametrize("wrong", [{"context_length": 1}, {"slots": 0}, {"batch_size": 0}, {"gpu_layers": -5}])
async def test_parameters_that_could_abort_it_are_refused(
    workers: LocalGateway, models: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InferenceError) as caught:
        await answer(workers, models / "successor.gguf", "w", LoadParameters(**wrong))

    assert caught.value.code == "invalid_input"


async def test_unloading_ends_the_process(workers: LocalGateway, models: Path) -> None:
    model = str(models / "successor.gguf")
    pid = (await workers.worker(model, SMALL)).pid

    assert await workers.unload(model) == 1

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_closing_ends_every_process(workers: LocalGateway, models: Path) -> None:
    pids = [(await workers.worker(str(models / name), SMALL)).pid for name in ("successor.gguf", "endless.gguf")]

    await workers.close()

    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_worker_that_is_stopped_leaves_no_folder(workers: LocalGateway, models: Path) -> None:
    worker = await workers.worker(str(models / "successor.gguf"), SMALL)
    assert worker.folder is not None
    assert (await asyncio.to_thread(os.stat, worker.folder)).st_mode & 0o777 == 0o700

    await workers.close()

    assert not await asyncio.to_thread(os.path.exists, worker.folder)


async def test_a_long_temporary_folder_means_tcp_with_a_key(
    workers: LocalGateway, profile: WorkerProfile, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "MAX_SOCKET_PATH_BYTES", 5)

    text, _ = await answer(workers, models / "successor.gguf", "w")

    assert text == "xyz"
    worker = await workers.worker(str(models / "successor.gguf"), SMALL)
    assert worker.folder is None
    # The paths that llama.cpp's server lets everybody ask are its health and its models.
    path = "/v1/models" if profile.health_path == "/v1/models" else "/slots"
    reader, writer = await asyncio.open_connection("127.0.0.1", int(worker.url.rpartition(":")[2]))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert b" 401 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


ENGINE = """
import asyncio, sys
from graphport.inference.gateway import LocalGateway
from graphport.process.child import LocalSpawner
from tests.conformance.backend.profiles import BACKENDS
from tests.inference.support import SMALL, request

async def main():
    profile = next(one for one in BACKENDS if one.profile and one.profile().name == sys.argv[2]).profile()
    gateway = LocalGateway(profile, LocalSpawner())
    worker = await gateway.worker(sys.argv[1], SMALL)
    async for event in gateway.chat(sys.argv[1], request("a"), SMALL):
        print(worker.pid, worker.folder, flush=True)

asyncio.run(main())
"""


def test_no_process_outlives_its_engine(models: Path, profile: WorkerProfile) -> None:
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(models / "endless.gguf"), profile.name],
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'python'}:{root}"},
    ) as engine:
        assert engine.stdout is not None
        pid, folder = engine.stdout.readline().decode().split()
        watches = [os.pidfd_open(number) for number in (int(pid), *_children(int(pid)))]
        try:
            engine.kill()
            left = set(watches)
            while left and (ended := select.select(list(left), [], [], 10)[0]):
                left -= set(ended)
        finally:
            for watch in watches:
                os.close(watch)

    assert not left, "a process outlived its engine by ten seconds"
    assert not Path(folder).exists()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("end", ["life line", "SIGTERM"])
def test_a_worker_ends_cleanly_when_asked(models: Path, tmp_path: Path, profile: WorkerProfile, end: str) -> None:
    socket_folder = tmp_path / "s"
    socket_folder.mkdir()
    address = WorkerAddress(socket_path=str(socket_folder / "w.sock"))
    profile.check_available()
    command = profile.command(resolve_model(str(models / "successor.gguf")), SMALL, address)
    with subprocess.Popen(
        command.argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **command.env},
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdin is not None
        assert profile.address(worker.stdout.readline(), address) == address
        if end == "SIGTERM":
            worker.terminate()
        else:
            worker.stdin.close()
        assert worker.wait(timeout=10) == 0
    assert not socket_folder.exists()
