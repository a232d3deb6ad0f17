"""The inference gateway: one worker process for each model file and set of load parameters.

Starts a worker when it is first needed, shares it, restarts it after a crash at the next use, and stops the
one that was not used for longest when there are too many. Never runs native code itself. Implements
`contracts.inference.InferenceGateway`; made and closed by `app`; runs on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.inference import LoadParameters, ModelFile
from graphport.core.errors import DemandStopped, GraphportError, InferenceError
from graphport.inference.gguf_file import resolve_model
from graphport.inference.worker import Worker, WorkerReplaced, start_worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from graphport.contracts.inference import (
        ChatEvent,
        ChatRequest,
        InferenceGateway,
        ModelLibrary,
        ProcessSpawner,
        WorkerProfile,
    )

MAX_WORKERS: Final = 2
START_DEADLINE_SECONDS: Final = 120.0
# Wait before the next start after one, two, … crashes in a row. The first restart is free.
RESTART_DELAYS_SECONDS: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
# Crashes further apart than this are not "in a row". A finished answer ends a row too.
CRASHES_FORGOTTEN_SECONDS: Final = 60.0
_DEFAULT_PARAMETERS: Final = LoadParameters()

_Key = tuple[ModelFile, LoadParameters]


@dataclass(slots=True, eq=False)
class _Entry:
    """A worker that runs, starts, or waits to be started. `users` counts open requests, also waiting ones."""

    key: _Key
    last_used: float
    start: asyncio.Task[Worker] | None = None
    users: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _CrashRecord:
    count: int = 0
    not_before: float = 0.0


class LocalGateway:
    """Serves models of this machine through one kind of worker."""

    def __init__(
        self,
        profile: WorkerProfile,
        spawner: ProcessSpawner,
        *,
        library: ModelLibrary | None = None,
        max_workers: int = MAX_WORKERS,
        start_deadline_seconds: float = START_DEADLINE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a gateway; nothing is started yet. `close` must be called at the end.

        Args:
            profile: the kind of worker.
            spawner: how processes are started.
            library: finds models that are given by name instead of by path.
            max_workers: workers that may exist at the same time.
            start_deadline_seconds: longest time from start to loaded.
            clock: monotonic seconds.
        """
        self._profile = profile
        self._spawner = spawner
        self._library = library
        self._max_workers = max_workers
        self._start_deadline_seconds = start_deadline_seconds
        self._clock = clock
        self._entries: dict[_Key, _Entry] = {}
        self._processes: set[_Entry] = set()  # entries that hold a place among `max_workers`
        self._room = asyncio.Lock()
        self._crashes: dict[_Key, _CrashRecord] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._available = False
        self._closed = False

    async def chat(
        self, model_path: str, request: ChatRequest, parameters: LoadParameters = _DEFAULT_PARAMETERS
    ) -> AsyncGenerator[ChatEvent, None]:
        """Answer a conversation; see `contracts.inference.InferenceGateway`."""
        self._check_request(request)
        parameters = self._checked(parameters)
        model = await asyncio.to_thread(self._resolve, model_path)
        while True:
            try:
                async with contextlib.aclosing(self._answer((model, parameters), request)) as events:
                    async for event in events:
                        yield event
                return
            except WorkerReplaced:
                continue  # nothing has been said yet: a new worker answers

    async def _answer(self, key: _Key, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        entry = self._entry(key)
        entry.users += 1
        entry.idle.clear()
        worker: Worker | None = None
        try:
            worker = await self._started(entry)
            async with contextlib.aclosing(worker.chat(request)) as events:
                async for event in events:
                    yield event
            self._crashes.pop(entry.key, None)
        finally:
            if worker is not None and worker.replaced and self._entries.get(entry.key) is entry:
                del self._entries[entry.key]
                self._own(worker.stop())
            entry.users -= 1
            entry.last_used = self._clock()
            if not entry.users:
                entry.idle.set()

    async def worker(self, model_path: str, parameters: LoadParameters = _DEFAULT_PARAMETERS) -> Worker:
        """The running worker for a model, started if need be. For tests, benchmarks and health reports."""
        parameters = self._checked(parameters)
        model = await asyncio.to_thread(self._resolve, model_path)
        return await self._started(self._entry((model, parameters)))

    async def unload(self, model_path: str) -> int:
        """Stop a model's workers when they are idle; see `contracts.inference.InferenceGateway`."""
        path = await asyncio.to_thread(self._loaded_path, model_path)
        found = [entry for entry in self._entries.values() if entry.key[0].path == path]
        await asyncio.gather(*(self._retire(entry) for entry in found))
        return len(found)

    async def close(self, drain_seconds: float = 0.0) -> None:
        """Stop everything; new requests get `shutting_down`, open ones after `drain_seconds`. Idempotent."""
        self._closed = True
        entries = set(self._entries.values()) | self._processes
        if drain_seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(drain_seconds):
                    await asyncio.gather(*(entry.idle.wait() for entry in entries if entry.users))
        self._entries.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._stop(entry) for entry in entries))

    def _check_request(self, request: ChatRequest) -> None:
        if not self._profile.capabilities.grammar and (request.grammar or request.json_schema is not None):
            what = "grammar" if request.grammar else "JSON schema"
            raise InferenceError(
                f"The model backend {self._profile.name} cannot bind an answer to a {what}. Leave it out, or use the "
                "backend xllamacpp or llama-server (GRAPHPORT_BACKEND chooses one).",
                code="backend_unsupported",
            )

    def _checked(self, parameters: LoadParameters) -> LoadParameters:
        """The parameters as the backend can have them."""
        self._profile.check_parameters(parameters)
        return replace(parameters, slots=min(parameters.slots, self._profile.capabilities.max_slots))

    def _resolve(self, model_path: str) -> ModelFile:
        """The file of a path or of a model's name; a path that exists goes first. Runs in a thread."""
        if self._library is not None and not os.path.exists(os.path.expanduser(model_path)):
            installed = self._library.path(model_path)
            if installed is not None:
                return resolve_model(str(installed))
        return resolve_model(model_path)

    def _loaded_path(self, model_path: str) -> str:
        try:
            return self._resolve(model_path).path
        except InferenceError:
            # Perhaps loaded once and deleted since.
            return os.path.realpath(model_path.replace("\0", ""))

    def _entry(self, key: _Key) -> _Entry:
        """The entry for a key; a new one begins to start at once. Concurrent callers get the same one."""
        if self._closed:
            raise _shutting_down()
        if (entry := self._entries.get(key)) is not None:
            return entry
        self._check_back_off(key)
        for other in list(self._entries.values()):
            if other.key[0].path == key[0].path and other.key[0] != key[0]:
                self._own(self._retire_now(other))  # the file was replaced; nobody will ask for the old one
        entry = _Entry(key=key, last_used=self._clock())
        entry.idle.set()
        self._entries[key] = entry
        entry.start = self._own(self._launch(entry))
        return entry

    def _check_back_off(self, key: _Key) -> None:
        record = self._crashes.get(key)
        wait_seconds = record.not_before - self._clock() if record is not None else 0.0
        if record is not None and wait_seconds > 0:
            raise InferenceError(
                f"The model worker crashed {record.count} times in a row and may start again in {wait_seconds:.1f} s.",
                code="backend_crashed",
                retry_after_ms=int(wait_seconds * 1000) + 1,
            )

    def _own(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run work that ends with the gateway and not with the caller who needed it first."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._disown)
        return task

    def _disown(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits gets it too; without a waiter it is no news

    async def _started(self, entry: _Entry) -> Worker:
        assert entry.start is not None
        try:
            return await asyncio.shield(entry.start)
        except asyncio.CancelledError:
            if self._closed and entry.start.cancelled():
                raise _shutting_down() from None
            raise
        except GraphportError as error:
            # One failed start may answer several callers, and each may write its node's id into its error.
            raise _copy(error) from error

    async def _launch(self, entry: _Entry) -> Worker:
        try:
            if not self._available:
                await asyncio.to_thread(self._profile.check_available)
                self._available = True
            async with self._room:
                while len(self._processes) >= self._max_workers:
                    await self._retire(self._victim())
                self._processes.add(entry)
            worker = await start_worker(
                self._profile, self._spawner, *entry.key, deadline_seconds=self._start_deadline_seconds
            )
        except BaseException as error:
            self._forget(entry)
            if isinstance(error, InferenceError) and error.code == "backend_crashed":
                self._count_crash(entry.key)
            raise
        worker.on_exit(lambda: self._worker_ended(entry, worker))
        return worker

    def _victim(self) -> _Entry:
        """The worker to give up: an idle one if there is one, else the one that was not asked for longest."""
        return min(self._processes, key=lambda entry: (entry.users > 0, entry.last_used))

    async def _retire(self, entry: _Entry) -> None:
        """Take a worker out of use and stop it when it is idle, even if the caller is cancelled."""
        await asyncio.shield(self._own(self._retire_now(entry)))

    async def _retire_now(self, entry: _Entry) -> None:
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]
        await entry.idle.wait()
        await self._stop(entry)

    async def _stop(self, entry: _Entry) -> None:
        start = entry.start
        if start is not None:
            await asyncio.wait([start])
            if not start.cancelled() and start.exception() is None:
                await start.result().stop()
        self._forget(entry)

    def _worker_ended(self, entry: _Entry, worker: Worker) -> None:
        self._forget(entry)
        if not worker.stopping:
            self._count_crash(entry.key)
            self._own(worker.stop())  # removes what a killed process leaves behind

    def _count_crash(self, key: _Key) -> None:
        record = self._crashes.setdefault(key, _CrashRecord())
        if self._clock() > record.not_before + CRASHES_FORGOTTEN_SECONDS:
            record.count = 0
        delay = RESTART_DELAYS_SECONDS[min(record.count, len(RESTART_DELAYS_SECONDS) - 1)]
        record.count += 1
        record.not_before = self._clock() + delay

    def _forget(self, entry: _Entry) -> None:
        self._processes.discard(entry)
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]


def _shutting_down() -> DemandStopped:
    return DemandStopped("The inference gateway is closed.", code="shutting_down")


def _copy(error: GraphportError) -> GraphportError:
    return type(error)(error.message, code=error.code, details=error.details, retry_after_ms=error.retry_after_ms)


if TYPE_CHECKING:

    def _is_gateway(gateway: LocalGateway) -> InferenceGateway:
        return gateway
