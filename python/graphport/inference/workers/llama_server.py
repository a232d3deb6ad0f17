"""Stands between the engine and a `llama-server` program, which knows neither a life line nor its parent's death.

Run as `python -m graphport.inference.workers.llama_server <JSON>` by the profile of the same name. Starts the program,
says where it will listen, and passes its end on: the same exit status, the same signal. Ends it, and removes
its socket, when its own standard input closes, its parent dies or SIGTERM comes.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from typing import Final, NoReturn

from graphport.inference.workers import CANNOT_RUN_STATUS, KEY_VARIABLE
from graphport.process.life_line import WorkerLife

_PR_SET_PDEATHSIG: Final = 1


def main(arguments: list[str]) -> NoReturn:
    """Start the program, say where it will listen, and wait for its end."""
    settings = json.loads(arguments[0])
    socket_path: str | None = settings["socket_path"]
    life = WorkerLife(socket_path, settings["parent"])
    port = _free_port() if socket_path is None else None
    try:
        server = _start(settings["argv"], socket_path, port)
    except OSError as error:
        print(f"graphport: {settings['argv'][0]} cannot be started: {error}", file=sys.stderr, flush=True)  # noqa: T201
        life.leave(CANNOT_RUN_STATUS)
    life.before_end = lambda: _kill(server)
    life.end_on_sigterm()
    # It does not listen yet; its health is asked for until it does.
    life.announce(f"http://127.0.0.1:{port}" if socket_path is None else "socket")
    status = server.wait()
    while life.ending:  # it was us who ended it; the thread that did is cleaning up
        signal.pause()
    if status < 0:
        _die_by(-status)
    life.leave(status)


def _start(argv: list[str], socket_path: str | None, port: int | None) -> subprocess.Popen[bytes]:
    where = ["--host", socket_path] if socket_path is not None else ["--host", "127.0.0.1", "--port", str(port)]
    environment = dict(os.environ)
    environment.pop("LLAMA_API_KEY", None)
    if key := environment.pop(KEY_VARIABLE, ""):
        environment["LLAMA_API_KEY"] = key
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def die_with_us() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)

    # One thread more exists, and it only reads: between fork and exec nothing can wait for it.
    return subprocess.Popen(
        [*argv, *where],
        stdin=subprocess.DEVNULL,
        env=environment,
        preexec_fn=die_with_us,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _kill(server: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        server.kill()


def _die_by(number: int) -> None:
    """End by the signal that ended the program, without a core of our own."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    main(sys.argv[1:])
