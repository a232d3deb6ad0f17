"""What profiles share whose program is one of `inference.workers`: limits, command, announcement, exit status.

Must not import a backend. Called by `profiles`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.inference import WorkerAddress, WorkerCommand
from graphport.core.errors import InferenceError
from graphport.inference.workers import CANNOT_RUN_STATUS, KEY_VARIABLE, LOAD_FAILED_STATUS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphport.contracts.inference import LoadParameters

_SOURCE_FOLDER: Final = str(Path(__file__).resolve().parents[2])
# Lowest and highest value of each parameter. llama.cpp aborts the process for a context of one token.
_LIMITS: Final = {
    "context_length": (64, 4_194_304),
    "gpu_layers": (-1, 10_000),
    "slots": (1, 256),
    "batch_size": (16, 8192),
    "threads": (1, 1024),
}


def check_limits(parameters: LoadParameters) -> None:
    """Refuse what llama.cpp would answer with an abort or with hours of work.

    Raises:
        InferenceError: `invalid_input`, saying what is allowed.
    """
    for name, (low, high) in _LIMITS.items():
        value = getattr(parameters, name)
        if value is None and name == "threads":
            continue
        if type(value) is not int or not low <= value <= high:
            raise InferenceError(
                f"{name} must be a whole number from {low} to {high}, got {value!r}.",
                code="invalid_input",
            )


def thread_count(parameters: LoadParameters) -> int:
    """Threads that compute: what was asked for, else the usable cores."""
    return parameters.threads or len(os.sched_getaffinity(0))


def python_command(python: str, module: str, settings: Mapping[str, Any], address: WorkerAddress) -> WorkerCommand:
    """A worker program with its settings as JSON; the key goes by environment, hidden from `ps`.

    Args:
        python: the interpreter.
        module: name of the worker in `graphport.inference.workers`.
        settings: what the worker reads, besides the socket's path and our process id.
        address: where it shall listen.
    """
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
    text = json.dumps({**settings, "socket_path": address.socket_path, "parent": os.getpid()})
    # -P: a file `json.py` in the current folder must not be taken for the library's.
    argv = (python, "-P", "-m", f"graphport.inference.workers.{module}", text)
    return WorkerCommand(argv=argv, env=env)


def announced_address(line: bytes, asked: WorkerAddress) -> WorkerAddress | None:
    """The address in a worker's announcement; None if the line is none."""
    try:
        listening = str(json.loads(line)["listening"])
    except (ValueError, TypeError, KeyError):
        return None
    if asked.socket_path is not None:
        return asked
    return WorkerAddress(url=listening, api_key=asked.api_key)


def failure_code(returncode: int) -> str | None:
    """What a worker said by its exit status: the file was refused, or the program could not run."""
    return {LOAD_FAILED_STATUS: "invalid_model", CANNOT_RUN_STATUS: "backend_unavailable"}.get(returncode)


def _python_path() -> str:
    """Lets the worker find this very package, also when it is run from a source folder."""
    inherited = os.environ.get("PYTHONPATH", "")
    return f"{_SOURCE_FOLDER}{os.pathsep}{inherited}" if inherited else _SOURCE_FOLDER
