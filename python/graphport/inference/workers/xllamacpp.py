"""A model worker: llama.cpp's own server, out of the wheel `xllamacpp`, in a process of its own.

Run as `python -m graphport.inference.workers.xllamacpp <JSON>` by the profile of the same name. Prints one
line of JSON with its address when the model is loaded. Ends when its standard input closes, its parent dies
or SIGTERM comes. Imports nothing of the engine but the watch over its life, to be up in a fraction of a second.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, NoReturn

from graphport.inference.workers import CANNOT_RUN_STATUS, KEY_VARIABLE, LOAD_FAILED_STATUS
from graphport.process.life_line import WorkerLife


def main(arguments: list[str]) -> NoReturn:
    """Load the model, say where it is served, and stay until told to end."""
    settings = json.loads(arguments[0])
    life = WorkerLife(settings["socket_path"], settings["parent"])
    try:
        import xllamacpp
    except ImportError as error:  # the wheel leaves a system library to be there, which small images lack
        print(f"graphport: xllamacpp cannot be imported: {error}", file=sys.stderr, flush=True)  # noqa: T201
        life.leave(CANNOT_RUN_STATUS)
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, settings))
    except RuntimeError as error:
        print(f"graphport: the model could not be loaded: {error}", file=sys.stderr, flush=True)  # noqa: T201
        life.leave(LOAD_FAILED_STATUS)
    life.end_on_sigterm()
    life.announce(server.listening_address)
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


if __name__ == "__main__":
    main(sys.argv[1:])
