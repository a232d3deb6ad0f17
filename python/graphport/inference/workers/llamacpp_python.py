"""A model worker: the server application of the package `llama-cpp-python`, in a process of its own.

Run as `python -m graphport.inference.workers.llamacpp_python <JSON>` by the profile of the same name, perhaps by a
Python in which graphport itself is not installed. Prints one line of JSON with its address when the model is loaded.
Ends when its standard input closes, its parent dies or SIGTERM comes. The application serves one request at a time;
`interrupt_requests` is off, or each request would cut off the one before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from graphport.inference.workers import CANNOT_RUN_STATUS, KEY_VARIABLE, LOAD_FAILED_STATUS
from graphport.process.life_line import WorkerLife

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def main(arguments: list[str]) -> NoReturn:
    """Load the model, say where it is served, and serve until told to end."""
    settings = json.loads(arguments[0])
    life = WorkerLife(settings["socket_path"], settings["parent"])
    os.environ.pop("CONFIG_FILE", None)  # the application would read its models from that file
    try:
        import llama_cpp
        import llama_cpp.server.app
        import uvicorn
    except (ImportError, OSError, RuntimeError) as error:  # the library is loaded by hand, with errors of its own
        print(f"graphport: llama_cpp cannot be imported: {error}", file=sys.stderr, flush=True)  # noqa: T201
        life.leave(CANNOT_RUN_STATUS)
    llama_cpp.Llama = _served_model(llama_cpp.Llama)
    try:
        app = _application(settings)
    except (ValueError, RuntimeError) as error:
        print(f"graphport: the model could not be loaded: {error}", file=sys.stderr, flush=True)  # noqa: T201
        life.leave(LOAD_FAILED_STATUS)
    listener = _listen(settings["socket_path"])
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False))
    server.capture_signals = contextlib.nullcontext  # SIGTERM is ours; uvicorn would wait for open answers
    life.end_on_sigterm()
    life.announce(f"http://127.0.0.1:{listener.getsockname()[1]}" if settings["socket_path"] is None else "socket")
    asyncio.run(server.serve(sockets=[listener]))
    life.leave(0)


def _application(settings: dict[str, Any]) -> Any:
    from llama_cpp.server.app import create_app
    from llama_cpp.server.settings import ModelSettings, ServerSettings

    # `model_construct`, because these classes take what they are not told from variables such as SEED and CACHE.
    model = ModelSettings.model_construct(
        model=settings["model"],
        n_ctx=settings["context_length"],
        n_batch=settings["batch_size"],
        n_ubatch=settings["batch_size"],
        n_gpu_layers=settings["gpu_layers"],
        n_threads=settings["threads"],
        n_threads_batch=settings["threads"],
        logits_all=False,  # or each position of the context would keep its logits
    )
    server = ServerSettings.model_construct(
        interrupt_requests=False, api_key=os.environ.pop(KEY_VARIABLE, None), root_path=""
    )
    return create_app(server_settings=server, model_settings=[model])


def _listen(socket_path: str | None) -> socket.socket:
    if socket_path is None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(socket_path)
    listener.listen(128)
    return listener


class _ContextExceededError(Exception):
    """More tokens in the prompt than the context holds."""


def _served_model(base: Any) -> Any:
    """The package's class of models, with the two things that its streams lack: errors and token counts."""

    class ServedModel(base):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.verbose = False  # it was on to log why a file cannot be loaded
            self.counts = {"prompt_tokens": 0, "completion_tokens": 0}

        def create_completion(self, prompt: Any, *args: Any, **kwargs: Any) -> Any:
            tokens = self.tokenize(prompt.encode(), special=True) if isinstance(prompt, str) else prompt
            if len(tokens) >= self.n_ctx():
                raise _ContextExceededError(f"the prompt has {len(tokens)} tokens, the context {self.n_ctx()}")
            self.counts = {"prompt_tokens": len(tokens), "completion_tokens": 0}
            if kwargs.get("seed") is not None:
                # What is left of the prompt before would be used again, and with it other roundings: the text of one
                # seed then differs from time to time.
                self.reset()
            return super().create_completion(tokens, *args, **kwargs)

        def generate(self, *args: Any, **kwargs: Any) -> Iterator[int]:
            for token in super().generate(*args, **kwargs):
                self.counts["completion_tokens"] += 1
                yield token

        def create_chat_completion(self, *args: Any, **kwargs: Any) -> Any:
            if not kwargs.get("stream"):
                return super().create_chat_completion(*args, **kwargs)
            return _whole_stream(functools.partial(super().create_chat_completion, *args, **kwargs), self)

    return ServedModel


def _whole_stream(create: Callable[[], Iterator[dict[str, Any]]], model: Any) -> Iterator[dict[str, Any]]:
    try:
        yield from create()
        yield {"choices": [], "usage": model.counts}
    except _ContextExceededError as error:
        yield _error(str(error), "context_length_exceeded")
    except Exception as error:
        # The head of the answer has gone out: without this the connection would close without a word.
        yield _error(f"{type(error).__name__}: {error}", None)


def _error(message: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error" if code else "server_error", "code": code}}


if __name__ == "__main__":
    main(sys.argv[1:])
