"""A model worker: llama.cpp's own server, out of the wheel `xllamacpp`, in a process of its own.

Run as `python -m graphport.inference.workers.xllamacpp <JSON>` by the profile of the same name. Prints one
line of JSON with its address when the model is loaded. Ends when its standard input closes, its parent dies
or SIGTERM comes. Imports nothing of the engine but the parent watch, to be up in a fraction of a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, NoReturn

from graphport.process.parent_death import set_parent_death_signal

if TYPE_CHECKING:
    from types import FrameType

KEY_VARIABLE: Final = "GRAPHPORT_WORKER_KEY"
LOAD_FAILED_STATUS: Final = 3
IMPORT_FAILED_STATUS: Final = 4


def main(arguments: list[str]) -> NoReturn:
    """Load the model, say where it is served, and stay until told to end."""
    settings = json.loads(arguments[0])
    socket_path: str | None = settings["socket_path"]
    if not set_parent_death_signal(signal.SIGKILL, expected_parent=settings["parent"]):
        _leave(socket_path, 0)
    # C code prints to descriptor 1 too; the announcement gets a descriptor of its own.
    announcement = os.dup(1)
    os.dup2(2, 1)
    life_line = threading.Thread(target=_watch_life_line, args=(socket_path,), daemon=True)
    life_line.start()

    try:
        import xllamacpp
    except ImportError as error:  # the wheel leaves a system library to be there, which small images lack
        print(f"graphport: xllamacpp cannot be imported: {error}", file=sys.stderr, flush=True)  # noqa: T201
        _leave(socket_path, IMPORT_FAILED_STATUS)
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, settings))
    except RuntimeError as error:
        print(f"graphport: the model could not be loaded: {error}", file=sys.stderr, flush=True)  # noqa: T201
        _leave(socket_path, LOAD_FAILED_STATUS)
    _end_on_sigterm(socket_path)
    # From here on the main thread is free to run the handler, which also removes the socket.
    set_parent_death_signal(signal.SIGTERM, expected_parent=settings["parent"])
    os.write(announcement, json.dumps({"listening": server.listening_address}).encode() + b"\n")
    while True:
        signal.pause()


def _parameters(xllamacpp: Any, settings: dict[str, Any]) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = settings["model"]
    parameters.n_parallel = settings["slots"]
    parameters.n_ctx = settings["context_length"] * settings["slots"]
    parameters.kv_unified = False
    parameters.n_gpu_layers = settings["gpu_layers"]
    # Small batches: between two of them the server looks whether the caller is still there.
    parameters.n_batch = settings["batch_size"]
    parameters.n_ubatch = settings["batch_size"]
    parameters.cpuparams.n_threads = settings["threads"]
    parameters.cpuparams_batch.n_threads = settings["threads"]
    parameters.hostnames = [settings["socket_path"] or "127.0.0.1"]
    parameters.port = 0
    if key := os.environ.pop(KEY_VARIABLE, ""):
        parameters.api_keys = [key]
    parameters.endpoint_slots = True
    # Fitting would change the context length and the layers that were asked for.
    parameters.fit_params = False
    parameters.ui = False
    parameters.warmup = False
    parameters.cache_ram_mib = 0  # each slot keeps its last prompt anyway; the default takes 8 GiB
    return parameters


def _watch_life_line(socket_path: str | None) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    _leave(socket_path, 0)


def _end_on_sigterm(socket_path: str | None) -> None:
    def end(_number: int, _frame: FrameType | None) -> None:
        _leave(socket_path, 0)

    signal.signal(signal.SIGTERM, end)


def _leave(socket_path: str | None, status: int) -> NoReturn:
    """End without destructors, which may wait for work in progress; remove the socket and its folder."""
    if socket_path is not None:
        with contextlib.suppress(OSError):
            os.unlink(socket_path)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(socket_path))
    os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
