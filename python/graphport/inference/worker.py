"""One model worker: starting it, asking it, seeing it die, stopping it.

Knows neither other workers nor files; the gateway does. Runs on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import tempfile
from typing import TYPE_CHECKING, Final

from graphport.contracts.inference import WorkerAddress
from graphport.core.errors import DemandStopped, GraphportError, InferenceError
from graphport.http.client import ConnectionLost, HttpClient, load_httpx
from graphport.http.openai_chat import stream_chat

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from graphport.contracts.inference import (
        ChatEvent,
        ChatRequest,
        LoadParameters,
        ModelFile,
        ProcessSpawner,
        WorkerProcess,
        WorkerProfile,
    )

MAX_SOCKET_PATH_BYTES: Final = 100
# A line of llama.cpp's log: a function's name and the text; its server puts time and "E" before them.
_LOGGED_ERROR: Final = re.compile(
    r"^(?:\S+ E \w+: (?:error loading model: )?|\w+: error loading model: )(.+)$", re.MULTILINE
)
_HEALTH_PAUSE_SECONDS: Final = 0.02
_DEATH_NOTICE_SECONDS: Final = 0.2
_OUTPUT_CHARACTERS: Final = 4000


class WorkerReplaced(Exception):
    """The worker was given up before it began to work on the request."""


class Worker:
    """A worker that has loaded its model. Made by `start_worker`.

    Attributes:
        folder: where its socket is, or None if it listens on TCP.
        replaced: whether it still computes for a caller who left, so that it must be stopped and not used again.
    """

    def __init__(
        self,
        process: WorkerProcess,
        client: HttpClient,
        folder: str | None,
        *,
        slots: int,
        cancel_in_prompt: bool = True,
    ) -> None:
        self._process = process
        self._client = client
        self.folder = folder
        self.replaced = False
        self._slots = asyncio.Semaphore(slots)
        self._cancel_in_prompt = cancel_in_prompt
        self._stopping = False
        process.on_exit(lambda: client.abort(self._death))

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Scheme, host and port; of meaning only without a `folder`."""
        return self._client.base_url

    @property
    def stopping(self) -> bool:
        """Whether its end is wanted."""
        return self._stopping

    def on_exit(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when the process has ended."""
        self._process.on_exit(callback)

    async def get(self, path: str) -> tuple[int, bytes]:
        """Ask the worker's server for something small, such as `/slots`."""
        return await self._client.get(path)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """The events of one answer; waits for a free slot first. See the contract `InferenceGateway`.

        Raises:
            WorkerReplaced: before the first event, if it was given up meanwhile.
        """
        async with self._slots:
            if self.replaced:
                raise WorkerReplaced
            in_prompt = True
            try:
                async with contextlib.aclosing(stream_chat(self._client, request)) as events:
                    async for event in events:
                        in_prompt = False
                        yield event
            except asyncio.CancelledError:
                # Nothing ends the computing of a prompt here but the end of the process.
                self.replaced = self._stopping = in_prompt and not self._cancel_in_prompt
                raise
            except ConnectionLost as error:
                # The socket of a dying process may close before the kernel reports its end.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_DEATH_NOTICE_SECONDS):
                        await self._process.wait()
                if self._process.returncode is None:
                    raise
                raise self._death() from error

    async def stop(self) -> None:
        """End the process and clean up. Requests still open fail with `shutting_down`. Idempotent."""
        self._stopping = True
        try:
            await self._process.stop()
        finally:
            await self._client.close()
            await asyncio.shield(asyncio.to_thread(_remove_folder, self.folder))

    def _death(self) -> GraphportError:
        if self._stopping:
            return DemandStopped("The model's worker was stopped.", code="shutting_down")
        return worker_death(self._process)


async def start_worker(
    profile: WorkerProfile,
    spawner: ProcessSpawner,
    model: ModelFile,
    parameters: LoadParameters,
    *,
    deadline_seconds: float,
) -> Worker:
    """Start a worker and wait until it has loaded the model and answers.

    Raises:
        InferenceError: `invalid_model` if it refuses the file, `backend_crashed` if it dies,
        `backend_timeout`.
    """
    asked, folder = await asyncio.to_thread(_choose_address, profile.capabilities.unix_socket)
    process: WorkerProcess | None = None
    client: HttpClient | None = None
    try:
        process = await spawner.spawn(profile.command(model, parameters, asked))
        async with asyncio.timeout(deadline_seconds):
            await load_httpx()  # while the worker loads
            address = await _announced_address(profile, process, asked, model)
            client = HttpClient(address.url, socket_path=address.socket_path, api_key=address.api_key)
            await _wait_until_healthy(profile, process, client, model)
        return Worker(
            process,
            client,
            folder,
            slots=min(parameters.slots, profile.capabilities.max_slots),
            cancel_in_prompt=profile.capabilities.cancel_in_prompt,
        )
    except BaseException as error:
        await _clean_up(process, client, folder)
        if isinstance(error, TimeoutError) and process is not None:
            raise InferenceError(
                f"The model worker was not ready after {deadline_seconds:g} s.",
                code="backend_timeout",
                details={"output": _output(process)},
            ) from error
        raise


async def _clean_up(process: WorkerProcess | None, client: HttpClient | None, folder: str | None) -> None:
    try:
        if process is not None:
            await process.stop()
        if client is not None:
            await client.close()
    finally:
        await asyncio.shield(asyncio.to_thread(_remove_folder, folder))


async def _announced_address(
    profile: WorkerProfile, process: WorkerProcess, asked: WorkerAddress, model: ModelFile
) -> WorkerAddress:
    while (line := await process.read_line()) is not None:
        if (address := profile.address(line, asked)) is not None:
            return address
    raise _failed_start(profile, process, await process.wait(), model)


async def _wait_until_healthy(
    profile: WorkerProfile, process: WorkerProcess, client: HttpClient, model: ModelFile
) -> None:
    while True:
        with contextlib.suppress(ConnectionLost):
            status, _ = await client.get(profile.health_path)
            if status == 200:
                return
        if process.returncode is not None:
            raise _failed_start(profile, process, process.returncode, model)
        await asyncio.sleep(_HEALTH_PAUSE_SECONDS)


def _failed_start(profile: WorkerProfile, process: WorkerProcess, returncode: int, model: ModelFile) -> InferenceError:
    code = profile.start_failure(returncode)
    if code is None:
        return worker_death(process)
    what = f"The model file {model.path!r} cannot be loaded"
    if code == "backend_unavailable":
        what = f"The model worker ({profile.name}) cannot run on this machine"
    return InferenceError(f"{what}: {_reason(process)}", code=code, details={"output": _output(process)})


def worker_death(process: WorkerProcess) -> InferenceError:
    """The error for a worker that ended without being asked, with its last words."""
    code = process.returncode
    how = "" if code is None else f" by signal {-code}" if code < 0 else f" with status {code}"
    return InferenceError(
        f"The model worker died{how}. Its last words: {_last_line(process)} It starts again at the next use.",
        code="backend_crashed",
        details={"output": _output(process), "returncode": code},
    )


def _output(process: WorkerProcess) -> str:
    return process.output_tail()[-_OUTPUT_CHARACTERS:]


def _reason(process: WorkerProcess) -> str:
    """The first error llama.cpp logged, which names the cause, else the last line."""
    found = _LOGGED_ERROR.search(process.output_tail())
    if found is None:
        return _last_line(process)
    return f"{found[1][:300]}. If the file may be cut off, fetch it again."


def _last_line(process: WorkerProcess) -> str:
    lines = process.output_tail().strip().splitlines()
    return lines[-1][-300:] if lines else "none."


def _choose_address(unix_socket: bool) -> tuple[WorkerAddress, str | None]:
    """A socket in a fresh folder that only this user may enter; else, or if its path is too long, TCP with a key."""
    if os.name == "posix" and unix_socket:
        folder = tempfile.mkdtemp(prefix="graphport-")
        path = os.path.join(folder, "worker.sock")
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
            return WorkerAddress(socket_path=path), folder
        os.rmdir(folder)
    return WorkerAddress(url="http://127.0.0.1:0", api_key=secrets.token_urlsafe(32)), None


def _remove_folder(folder: str | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
