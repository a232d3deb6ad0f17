"""Workers that live inside the test: a process that is none, and a server that answers what it is told.

They keep to the contracts of real ones, so that the gateway's decisions can be tested one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from typing import TYPE_CHECKING

from graphport.contracts.inference import (
    Capabilities,
    ChatMessage,
    ChatRequest,
    LoadParameters,
    WorkerAddress,
    WorkerCommand,
)
from graphport.core.errors import InferenceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphport.contracts.inference import ModelFile

REQUEST = ChatRequest(messages=(ChatMessage(role="user", content="hi"),))


def write_header(path: Path, *, padding: int = 4096) -> Path:
    """A file that passes for GGUF."""
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 1, 1) + bytes(padding))
    return path


class FakeProfile:
    """A kind of worker that `FakeSpawner` plays."""

    name = "fake"
    health_path = "/health"

    def __init__(self) -> None:
        self.capabilities = Capabilities()
        self.available_checks = 0
        self.missing = False

    def check_available(self) -> None:
        self.available_checks += 1
        if self.missing:
            raise InferenceError("Type: pip install fake", code="backend_unavailable")

    def check_parameters(self, parameters: LoadParameters) -> None:
        if parameters.context_length < 1:
            raise InferenceError("context_length", code="invalid_input")

    def command(self, model: ModelFile, parameters: LoadParameters, address: WorkerAddress) -> WorkerCommand:
        assert address.socket_path is not None
        return WorkerCommand(argv=(model.path, address.socket_path))

    def address(self, line: bytes, asked: WorkerAddress) -> WorkerAddress | None:
        return asked if line == b"ready" else None

    def start_failure(self, returncode: int) -> str | None:
        return "invalid_model" if returncode == 3 else None


class FakeProcess:
    """A process that is a server on the test's own loop."""

    def __init__(self, spawner: FakeSpawner, command: WorkerCommand, pid: int) -> None:
        self.model, self.socket_path = command.argv
        self.pid = pid
        self.returncode: int | None = None
        self.stopped = False
        self._spawner = spawner
        self._ended = asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._said_ready = False

    async def listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.socket_path)

    def end(self, returncode: int, *, socket_stays: bool = False) -> None:
        """The process dies; its socket may stay open in a process that it forked."""
        if self.returncode is None:
            self.returncode = returncode
            self._ended.set()
            if self._server is not None:
                self._server.close()
            for writer in () if socket_stays else self._connections:
                writer.transport.abort()
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()

    def output_tail(self) -> str:
        return "last words"

    async def read_line(self) -> bytes | None:
        if self._said_ready or self.returncode is not None:
            await self._ended.wait()
            return None
        self._said_ready = True
        await self._spawner.may_start.wait()
        return b"ready"

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def on_exit(self, callback: Callable[[], None]) -> Callable[[], None]:
        if self.returncode is not None:
            callback()
        self._callbacks.append(callback)
        return lambda: None

    async def stop(self) -> int:
        self.stopped = True
        self.end(0)
        return await self.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            if head.startswith(b"POST"):
                self._spawner.asked.set()
                await self._spawner.may_answer.wait()
                self._say(writer, {"choices": [{"delta": {"content": "hello"}}]})
                await self._spawner.may_finish.wait()
                self._say(writer, {"choices": [{"delta": {}, "finish_reason": "stop"}]})
                writer.write(b"data: [DONE]\n\n")
            await writer.drain()
        writer.close()
        self._connections.discard(writer)

    def _say(self, writer: asyncio.StreamWriter, data: object) -> None:
        writer.write(f"data: {json.dumps(data)}\n\n".encode())


class FakeSpawner:
    """Starts fake processes and remembers them.

    Attributes:
        processes: all that were started, in order.
        dies_at_start: return code with which the next processes die at once.
        may_start: while cleared, processes load.
        may_answer: while cleared, prompts are read and nothing is said.
        may_finish: while cleared, answers stay open after their first text.
        asked: set when a chat request has come.
        spawned: set when a process was started.
    """

    def __init__(self) -> None:
        self.processes: list[FakeProcess] = []
        self.dies_at_start: int | None = None
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.may_finish = asyncio.Event()
        self.may_finish.set()
        self.asked = asyncio.Event()
        self.spawned = asyncio.Event()

    async def spawn(self, command: WorkerCommand) -> FakeProcess:
        process = FakeProcess(self, command, pid=1000 + len(self.processes))
        await process.listen()
        self.processes.append(process)
        self.spawned.set()
        if self.dies_at_start is not None:
            process.end(self.dies_at_start)
        return process
