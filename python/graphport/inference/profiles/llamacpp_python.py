"""The worker for machines that have `llama-cpp-python`: its own server application, one request at a time.

Says how to start the program in `inference.workers.llamacpp_python`, and what it can bear. Must not import
`llama_cpp`: native code stays out of the engine. Used by the gateway; `app` asks whether it is installed.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Final

from graphport.contracts.inference import Capabilities
from graphport.core.errors import InferenceError
from graphport.inference.python_worker import (
    announced_address,
    check_limits,
    failure_code,
    python_command,
    thread_count,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphport.contracts.inference import LoadParameters, ModelFile, WorkerAddress, WorkerCommand, WorkerProfile

# Packages of `llama-cpp-python[server]`; without the extra only the first one is there.
_PACKAGES: Final = ("llama_cpp", "uvicorn", "fastapi", "sse_starlette", "starlette_context", "pydantic_settings")


class LlamacppPythonProfile:
    """Starts `python -m graphport.inference.workers.llamacpp_python`."""

    name = "llama-cpp-python"
    how_to_get: Final = (
        "pip install 'graphport[llama-cpp-python]' (it compiles llama.cpp for some minutes and needs a C++ compiler)"
    )
    health_path = "/v1/models"
    # One lock around one context. A grammar that does not parse crashes the process, and so does one made of a JSON
    # schema that its converter gets wrong. A prompt is computed in one call that nothing can stop.
    capabilities = Capabilities(max_slots=1, grammar=False, cancel_in_prompt=False, progress=False, timings=False)

    def __init__(self, *, python: str = sys.executable, packages: Sequence[str] = _PACKAGES) -> None:
        """Make the profile.

        Args:
            python: interpreter that runs the worker; one that is not ours is only looked for, not asked.
            packages: what must be importable by our own.
        """
        self._python = python
        self._packages = packages

    def is_installed(self) -> bool:
        """Whether the packages are there; none is imported."""
        if self._python != sys.executable:
            return os.access(self._python, os.X_OK)
        return all(importlib.util.find_spec(package) is not None for package in self._packages)

    def check_available(self) -> None:
        """See whether the packages are installed, without importing them."""
        if not self.is_installed():
            raise InferenceError(
                f"The model backend llama-cpp-python is not installed. To get it: {self.how_to_get}.",
                code="backend_unavailable",
            )

    def check_parameters(self, parameters: LoadParameters) -> None:
        """Refuse what llama.cpp would answer with an abort or with hours of work."""
        check_limits(parameters)

    def command(self, model: ModelFile, parameters: LoadParameters, address: WorkerAddress) -> WorkerCommand:
        """The worker program with its settings as JSON; the key goes by environment, hidden from `ps`."""
        settings = {
            "model": model.path,
            "context_length": parameters.context_length,
            "gpu_layers": parameters.gpu_layers,
            "batch_size": parameters.batch_size,
            "threads": thread_count(parameters),
        }
        return python_command(self._python, "llamacpp_python", settings, address)

    def address(self, line: bytes, asked: WorkerAddress) -> WorkerAddress | None:
        """Read the worker's announcement."""
        return announced_address(line, asked)

    def start_failure(self, returncode: int) -> str | None:
        """What the worker said by its exit status: the file was refused, or the package could not be loaded."""
        return failure_code(returncode)


if TYPE_CHECKING:

    def _is_profile(profile: LlamacppPythonProfile) -> WorkerProfile:
        return profile
