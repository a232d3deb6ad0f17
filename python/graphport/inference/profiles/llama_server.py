"""The worker for machines that have llama.cpp's own program `llama-server`, on PATH or at a configured path.

Says how to start it, through `inference.workers.llama_server`, which ends it with the engine. Builds differ in what
they take, so the program is asked once for its help text. Used by the gateway; `app` asks whether it is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
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

PATH_VARIABLE: Final = "GRAPHPORT_LLAMA_SERVER"
_PROGRAM: Final = "llama-server"
_PATIENCE_SECONDS: Final = 30.0
_ALL_LAYERS: Final = 999  # what "as many as fit" has been called in every version
_REFUSED_STATUS: Final = 1
# What a build may not know yet, or no more. Each is passed on only if its help text names it.
_OPTIONAL: Final = (
    ("--jinja",),  # the model's own template, where that is not the default yet
    ("--slots",),
    ("--no-warmup",),
    ("--no-kv-unified",),  # the context is for each slot
    ("--cache-ram", "0"),  # each slot keeps its last prompt anyway; the default takes 8 GiB
    ("--fit", "off"),  # it would change the context length and the layers that were asked for
    ("--no-ui",),
    ("--offline",),
)


class LlamaServerProfile:
    """Starts the program `llama-server`."""

    name = "llama-server"
    how_to_get: Final = f"put llama.cpp's `llama-server` on PATH, or its path into {PATH_VARIABLE}"
    health_path = "/health"

    def __init__(self, program: str = _PROGRAM) -> None:
        """Make the profile.

        Args:
            program: name on PATH, or a path.
        """
        self.program = program
        self._found: str | None = None
        self._flags: frozenset[str] = frozenset()
        self.capabilities = Capabilities()

    @property
    def path(self) -> str | None:
        """The program's path; None if there is none."""
        return shutil.which(self.program)

    @property
    def is_configured(self) -> bool:
        """Whether somebody named a program other than the one that is looked for anyway."""
        return self.program != _PROGRAM

    def is_installed(self) -> bool:
        """Whether the program is there; it is not run."""
        return self.path is not None

    def check_available(self) -> None:
        """See whether the program runs, and learn from its help text what it takes."""
        path = self.path
        if path is None:
            raise InferenceError(
                f"There is no program {self.program!r}. {self.how_to_get[0].upper()}{self.how_to_get[1:]}.",
                code="backend_unavailable",
            )
        try:
            said = subprocess.run(
                [path, "--help"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_PATIENCE_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _cannot_run(path, type(error).__name__) from error
        text = said.stdout.decode(errors="replace")
        if said.returncode != 0:
            raise _cannot_run(path, text.strip().rpartition("\n")[2][:200] or f"exit status {said.returncode}")
        self._found = path
        self._flags = frozenset(re.findall(r"(?<!\S)--[a-z][a-z-]*", text))
        self.capabilities = replace(self.capabilities, unix_socket=re.search(r"UNIX\s+socket", text) is not None)

    def check_parameters(self, parameters: LoadParameters) -> None:
        """Refuse what llama.cpp would answer with an abort or with hours of work."""
        check_limits(parameters)

    def command(self, model: ModelFile, parameters: LoadParameters, address: WorkerAddress) -> WorkerCommand:
        """The worker program with the server's command line as JSON; the key goes by environment."""
        layers = _ALL_LAYERS if parameters.gpu_layers == -1 else parameters.gpu_layers
        numbers = {
            "--ctx-size": parameters.context_length * parameters.slots,
            "--parallel": parameters.slots,
            "--n-gpu-layers": layers,
            # Small batches: between two of them the server looks whether the caller is still there.
            "--batch-size": parameters.batch_size,
            "--ubatch-size": parameters.batch_size,
            "--threads": thread_count(parameters),
            "--threads-batch": thread_count(parameters),
        }
        argv = [self._found or self.program, "--model", model.path]
        argv += [word for name, number in numbers.items() for word in (name, str(number))]
        argv += [word for words in _OPTIONAL if words[0] in self._flags for word in words]
        return python_command(sys.executable, "llama_server", {"argv": argv}, address)

    def address(self, line: bytes, asked: WorkerAddress) -> WorkerAddress | None:
        """Read the worker's announcement."""
        return announced_address(line, asked)

    def start_failure(self, returncode: int) -> str | None:
        """What the exit status says.

        The program has 1 for all that it refuses. It gets only arguments that its help text names, so that is the file.
        """
        return "invalid_model" if returncode == _REFUSED_STATUS else failure_code(returncode)


def _cannot_run(path: str, why: str) -> InferenceError:
    return InferenceError(f"The program {path!r} cannot run: {why}", code="backend_unavailable")


if TYPE_CHECKING:

    def _is_profile(profile: LlamaServerProfile) -> WorkerProfile:
        return profile
