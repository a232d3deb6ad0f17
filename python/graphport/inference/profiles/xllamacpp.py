"""The default worker: `xllamacpp`, a prebuilt wheel of llama.cpp's server with continuous batching.

Says how to start the program in `inference.workers.xllamacpp`, and what it can bear. Must not import
`xllamacpp`: native code stays out of the engine. Used by the gateway; `app` asks whether it is installed.
"""

from __future__ import annotations

import importlib.util
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
    from graphport.contracts.inference import LoadParameters, ModelFile, WorkerAddress, WorkerCommand, WorkerProfile


class XllamacppProfile:
    """Starts `python -m graphport.inference.workers.xllamacpp` with this Python."""

    name = "xllamacpp"
    how_to_get: Final = "pip install 'graphport[local]' (it brings `xllamacpp`, which has wheels for Linux on x86_64)"
    health_path = "/health"
    capabilities = Capabilities()

    def __init__(self, *, python: str = sys.executable, package: str = "xllamacpp") -> None:
        """Make the profile.

        Args:
            python: interpreter that runs the worker.
            package: name of the package that must be importable.
        """
        self._python = python
        self._package = package

    def is_installed(self) -> bool:
        """Whether the package is there; it is not imported."""
        return importlib.util.find_spec(self._package) is not None

    def check_available(self) -> None:
        """See whether the package is installed, without importing it."""
        if not self.is_installed():
            raise InferenceError(
                f"The model backend xllamacpp is not installed. To get it: {self.how_to_get}.",
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
            "slots": parameters.slots,
            "gpu_layers": parameters.gpu_layers,
            "batch_size": parameters.batch_size,
            "threads": thread_count(parameters),
        }
        return python_command(self._python, "xllamacpp", settings, address)

    def address(self, line: bytes, asked: WorkerAddress) -> WorkerAddress | None:
        """Read the worker's announcement."""
        return announced_address(line, asked)

    def start_failure(self, returncode: int) -> str | None:
        """What the worker said by its exit status: llama.cpp refused the file, or could not be loaded itself."""
        return failure_code(returncode)


if TYPE_CHECKING:

    def _is_profile(profile: XllamacppProfile) -> WorkerProfile:
        return profile
