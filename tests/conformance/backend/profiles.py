"""The backends that must pass the suite in this folder. A new one adds one line to `BACKENDS`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from graphport.contracts.inference import LoadParameters
from graphport.inference.external import ExternalGateway
from graphport.inference.gateway import LocalGateway
from graphport.inference.profiles.llama_server import LlamaServerProfile
from graphport.inference.profiles.llamacpp_python import LlamacppPythonProfile
from graphport.inference.profiles.xllamacpp import XllamacppProfile
from graphport.process.child import LocalSpawner

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from _pytest.mark import ParameterSet

    from graphport.contracts.inference import ChatEvent, ChatRequest, WorkerAddress, WorkerProfile
    from graphport.inference.worker import Worker

BUILT: Final = Path(__file__).parents[3] / ".cache" / "backends"
"""Where `scripts/build_backends` puts what it compiles."""

DEFAULTS: Final = LoadParameters()


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A backend under test.

    Attributes:
        file: where it comes from, in `graphport/inference`.
        profile: makes its profile; None if it starts no worker.
        built: it has to be compiled first.
    """

    file: str
    profile: Callable[[], WorkerProfile] | None
    built: bool = False


class ExternalServers:
    """Gateways to servers that others have started: llama.cpp's, on TCP with a key, one for each model."""

    def __init__(self) -> None:
        self._profile = TcpProfile()
        self._others = LocalGateway(self._profile, LocalSpawner(), max_workers=4)
        self._gateways: list[ExternalGateway] = []

    async def worker(self, model_path: str, parameters: LoadParameters = DEFAULTS) -> Worker:
        return await self._others.worker(model_path, parameters)

    async def chat(
        self, model_path: str, request: ChatRequest, parameters: LoadParameters = DEFAULTS
    ) -> AsyncGenerator[ChatEvent, None]:
        worker = await self.worker(model_path, parameters)
        gateway = ExternalGateway(f"{worker.url}/v1", api_key=self._profile.keys[worker.url])
        self._gateways.append(gateway)
        async with contextlib.aclosing(gateway.chat(model_path, request, parameters)) as events:
            async for event in events:
                yield event

    async def unload(self, model_path: str) -> int:
        return await ExternalGateway("http://127.0.0.1:1").unload(model_path)

    async def close(self) -> None:
        for gateway in self._gateways:
            await gateway.close()
        await self._others.close()


class TcpProfile(XllamacppProfile):
    """The default worker as somebody else's server: on TCP, with a key that its callers know."""

    capabilities = replace(XllamacppProfile.capabilities, unix_socket=False)

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, str | None] = {}

    def address(self, line: bytes, asked: WorkerAddress) -> WorkerAddress | None:
        address = super().address(line, asked)
        if address is not None:
            self.keys[address.url] = address.api_key
        return address


def _llama_server() -> LlamaServerProfile:
    return LlamaServerProfile(str(BUILT / "llama-server"))


def _llamacpp_python() -> LlamacppPythonProfile:
    return LlamacppPythonProfile(python=str(BUILT / "venv" / "bin" / "python"))


BACKENDS: Final = (
    Enrolled(file="profiles/xllamacpp.py", profile=XllamacppProfile),
    Enrolled(file="profiles/llamacpp_python.py", profile=_llamacpp_python, built=True),
    Enrolled(file="profiles/llama_server.py", profile=_llama_server, built=True),
    Enrolled(file="external.py", profile=None),
)


def parameters_of(backends: Iterable[Enrolled]) -> list[ParameterSet]:
    """Backends as test parameters; what has to be compiled first is left to `scripts/test --all`."""
    return [
        pytest.param(backend, id=Path(backend.file).stem, marks=[pytest.mark.built] if backend.built else [])
        for backend in backends
    ]
