"""The default worker: `xllamacpp`, a prebuilt wheel of llama.cpp's server with continuous batching.

Says how to start the program in `inference.workers.xllamacpp`, and what it can bear. Must not import
`xllamacpp`: native code stays out of the engine. Used by the gateway.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphport.contracts.inference import WorkerAddress, WorkerCommand
from graphport.core.errors import InferenceError
from graphport.inference.workers.xllamacpp import IMPORT_FAILED_STATUS, KEY_VARIABLE, LOAD_FAILED_STATUS

if TYPE_CHECKING:
    from graphport.contracts.inference import LoadParameters, ModelFile, WorkerProfile

_WORKER_MODULE: Final = "graphport.inference.workers.xllamacpp"
_SOURCE_FOLDER: Final = str(Path(__file__).resolve().parents[3])
# Lowest and highest value of each parameter. llama.cpp aborts the process for a context of one token.
_LIMITS: Final = {
    "context_length": (64, 4_194_304),
    "gpu_layers": (-1, 10_000),
    "slots": (1, 256),
    "batch_size": (16, 8192),
    "threads": (1, 1024),
}


class XllamacppProfile:
    """Starts `python -m graphport.inference.workers.xllamacpp` with this Python."""

    name = "xllamacpp"

    def __init__(self, *, python: str = sys.executable, package: str = "xllamacpp") -> None:
        """Make the profile.

        Args:
            python: interpreter that runs the worker.
            package: name of the package that must be importable.
        """
        self._python = python
        self._package = package

    def check_available(self) -> None:
        """See whether the package is installed, without importing it."""
        if importlib.util.find_spec(self._package) is None:
            raise InferenceError(
                "No local model backend is installed. Type: pip install 'graphport[local]' "
                "(it brings `xllamacpp`, which has wheels for Linux on x86_64).",
                code="backend_unavailable",
            )

    def check_parameters(self, parameters: LoadParameters) -> None:
        """Refuse what llama.cpp would answer with an abort or with hours of work."""
        for name, (low, high) in _LIMITS.items():
            value = getattr(parameters, name)
            if value is None and name == "threads":
                continue
            if type(value) is not int or not low <= value <= high:
                raise InferenceError(
                    f"{name} must be a whole number from {low} to {high}, got {value!r}.",
                    code="invalid_input",
                )

    def command(self, model: ModelFile, parameters: LoadParameters, address: WorkerAddress) -> WorkerCommand:
        """The worker program with its settings as JSON; the key goes by environment, hidden from `ps`."""
        settings = {
            "model": model.path,
            "context_length": parameters.context_length,
            "slots": parameters.slots,
            "gpu_layers": parameters.gpu_layers,
            "batch_size": parameters.batch_size,
            "threads": parameters.threads or len(os.sched_getaffinity(0)),
            "socket_path": address.socket_path,
            "parent": os.getpid(),
        }
        env = {
            # On an abort ggml would fork a debugger that outlives everybody and holds the pipes.
            "GGML_NO_BACKTRACE": "1",
            # Threads that wait for one another spin by default. With one busy process beside them, 60 tokens of SmolLM2
            # on 2 cores then took 4 to 27 s; with a short spin 2 to 4 s, for 0.54 instead of 0.47 s on an idle machine.
            "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "1000"),
            "PYTHONPATH": _python_path(),
            "PYTHONUNBUFFERED": "1",
        }
        if address.api_key is not None:
            env[KEY_VARIABLE] = address.api_key
        # -P: a file `json.py` in the current folder must not be taken for the library's.
        argv = (self._python, "-P", "-m", _WORKER_MODULE, json.dumps(settings))
        return WorkerCommand(argv=argv, env=env)

    def address(self, line: bytes, asked: WorkerAddress) -> WorkerAddress | None:
        """Read the worker's announcement."""
        try:
            listening = str(json.loads(line)["listening"])
        except (ValueError, TypeError, KeyError):
            return None
        if asked.socket_path is not None:
            return asked
        return WorkerAddress(url=listening, api_key=asked.api_key)

    def start_failure(self, returncode: int) -> str | None:
        """What the worker said by its exit status: llama.cpp refused the file, or could not be loaded itself."""
        return {LOAD_FAILED_STATUS: "invalid_model", IMPORT_FAILED_STATUS: "backend_unavailable"}.get(returncode)


def _python_path() -> str:
    """Lets the worker find this very package, also when it is run from a source folder."""
    inherited = os.environ.get("PYTHONPATH", "")
    return f"{_SOURCE_FOLDER}{os.pathsep}{inherited}" if inherited else _SOURCE_FOLDER


if TYPE_CHECKING:

    def _is_profile(profile: XllamacppProfile) -> WorkerProfile:
        return profile
