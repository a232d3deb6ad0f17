"""Nodes that do what no node should, for the tests of this folder."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from typing import Any

from graphport import RunContext, node

LOG = logging.getLogger("unruly")


@node
def shout(text: str) -> str:
    return text.upper()


@node(outputs={"text": str}, stream=True)
async def spell(text: str, ctx: RunContext) -> dict[str, str]:
    """Streams letter by letter."""
    for letter in text:
        await ctx.stream("text", letter)
    return {"text": text}


@node(effect="volatile")
def sleep_long() -> str:
    time.sleep(1_000)
    return "slept"


@node(effect="volatile", execution="inline")
def spin() -> str:
    while True:
        pass


@node(effect="volatile")
def talk(text: str) -> str:
    """Says something on every way there is."""
    print(f"{text} print")  # noqa: T201
    print(f"{text} stderr", file=sys.stderr)  # noqa: T201
    LOG.warning("%s logging", text)
    LOG.warning("%d wrong record", text)
    os.write(1, f"{text} fd1\n".encode())
    os.write(2, f"{text} fd2\n".encode())
    subprocess.run(["/bin/sh", "-c", f"echo {text} child; echo {text} child-err >&2"], check=True)
    return text


@node(effect="volatile")
def write_to_the_wire() -> str:
    for fd in (3, 4):
        os.write(fd, b"\xff\xff\xff\xff garbage")
    return "written"


@node(effect="volatile")
def fork() -> int:
    """Forks a child that goes on, prints and writes to whatever it has inherited."""
    child = os.fork()
    if child:
        return child
    try:
        print("forked print", flush=True)  # noqa: T201
        LOG.warning("forked logging")
        os.write(1, b"forked fd1\n")
        for fd in range(3, 64):
            try:
                os.write(fd, b"\xff\xff\xff\xff")
            except OSError:
                continue
        time.sleep(1_000)
    finally:
        os._exit(0)


@node(effect="volatile")
def start_program() -> int:
    """Starts a program that inherits every descriptor it can, and lives on; returns its process id."""
    return subprocess.Popen(["sleep", "1000"], close_fds=False).pid


@node(effect="volatile")
def close_output() -> str:
    os.close(1)
    return "closed"


@node(outputs={"fine": Any, "bad": Any})
def give(what: str) -> dict[str, Any]:
    things: dict[str, Any] = {
        "object": object(),
        "key": {(1, 2): 3},
        "large": b"x" * (268_435_456 if what == "large" else 1),
        "surrogate": "\ud800",
    }
    return {"fine": 1, "bad": things[what]}


@node(stream=True, effect="volatile")
async def count(to: int, ctx: Any) -> str:
    for number in range(to):
        await ctx.stream("value", f"{number},")
    return "counted"


@node(stream=True, effect="volatile")
def count_in_thread(to: int, ctx: Any) -> str:
    for number in range(to):
        ctx.stream("value", f"{number},")
    return "counted"


@node(effect="volatile")
def exits() -> str:
    sys.exit(3)


@node(effect="volatile")
def long_message() -> str:
    raise ValueError("x" * 3_000_000)


@node(effect="volatile")
def threads() -> int:
    return threading.active_count()
