"""Node types of the Elixir integration tests, written as a user writes them."""

import asyncio
import ctypes
import logging
import os
import subprocess
import sys
import time
import warnings
from typing import Any

from graphport import PortSpec, RunContext, ThreadRunContext, node


@node(outputs={"text": str}, stream=True)
async def slow_words(text: str, ctx: RunContext) -> dict[str, str]:
    """Streams a text word by word."""
    for word in text.split():
        await ctx.stream("text", word + " ")
        await asyncio.sleep(0.01)
    return {"text": text}


@node(outputs={"value": Any}, effect="volatile")
async def forever() -> Any:
    """Never returns."""
    await asyncio.sleep(3600)


@node(outputs={"value": Any})
async def raises(text: str = "boom") -> Any:
    """Raises what user code raises."""
    raise ValueError(text)


@node(outputs={"value": int}, effect="volatile")
async def undeclared() -> dict[str, Any]:
    """Returns an output that it does not declare."""
    return {"value": 1, "other": 2}


@node(outputs={"value": Any}, effect="volatile")
def same(value: Any = None) -> Any:
    """Gives its input back, from a thread."""
    return value


@node(outputs={"value": str}, effect="volatile")
async def kind(value: Any = None) -> dict[str, str]:
    """The Python type of its input."""
    return {"value": type(value).__name__}


@node(outputs={"value": Any}, effect="volatile")
def logs(text: str, ctx: ThreadRunContext) -> Any:
    """Writes to the log and to standard output."""
    ctx.log.warning("%s in the log", text)
    print(text, "printed", flush=True)  # noqa: T201 - what the test is about


@node(outputs={"value": Any}, effect="volatile")
def prints(text: str) -> Any:
    """Prints, and writes to standard output as C code does."""
    print(text, "from Python", flush=True)  # noqa: T201 - what the test is about
    os.write(1, b"\n")


@node(outputs={"value": Any}, effect="volatile")
def sleeps() -> Any:
    """Blocks its thread for a while."""
    time.sleep(0.3)


running = 0


@node(outputs={"text": str, "number": Any}, stream=["text", "number"], effect="volatile")
async def endless(ctx: RunContext, port: str = "text") -> dict[str, Any]:
    """Streams the numbers from 0 on, as text, as numbers or as both, for as long as somebody wants them."""
    global running
    running += 1
    try:
        number = 0
        while True:
            if port in ("text", "both"):
                await ctx.stream("text", f"{number} ")
            if port in ("number", "both"):
                await ctx.stream("number", number)
            number += 1
    finally:
        running -= 1


@node(outputs={"value": int}, effect="volatile")
async def endless_running() -> dict[str, int]:
    """How many `endless` are under way."""
    return {"value": running}


@node(outputs={"text": str, "number": Any}, stream=["text", "number"])
async def both_ports(ctx: RunContext, n: int = 100) -> dict[str, Any]:
    """Streams as many numbers to each of its two ports."""
    for number in range(n):
        await ctx.stream("number", number)
        await ctx.stream("text", f"{number} ")
    return {"text": "", "number": n}


@node(outputs={"value": int})
async def tells(ctx: RunContext, n: int = 2) -> dict[str, int]:
    """Tells how far it is."""
    for number in range(n):
        ctx.progress((number + 1) / n, f"step {number + 1}")
        await asyncio.sleep(0)
    return {"value": n}


@node(outputs={"value": bytes}, effect="volatile")
def zeros(size: int = 0) -> bytes:
    """As many bytes as asked for."""
    return bytes(size)


@node(outputs={"text": str}, stream=True, effect="volatile")
async def long_chunks(ctx: RunContext, size: int = 1_000_000) -> dict[str, str]:
    """Streams long and short texts in turn."""
    for letter in "abc":
        await ctx.stream("text", letter * size)
        await ctx.stream("text", letter.upper())
    return {"text": "done"}


@node(outputs={"value": str}, effect="volatile")
def says(way: str, text: str, ctx: ThreadRunContext) -> str:
    """Says a text in one of the ways there are."""
    if way == "print without end":
        print(text, end="")  # noqa: T201
    elif way == "C":
        line = f"{text}\n".encode()
        ctypes.CDLL(None).write(1, line, len(line))
    elif way == "child":
        subprocess.run(["/bin/sh", "-c", 'echo "$0"; echo "$0" >&2', text], check=True)
    elif way == "warning":
        warnings.warn(text, stacklevel=1)
    elif way == "extra":
        ctx.log.error(text, extra={"order_id": 7})
    else:
        logging.getLogger("shop.orders").log(getattr(logging, way.upper()), text)
    return text


@node(outputs={"text": str}, stream=True, effect="volatile")
async def floods(way: str, ctx: RunContext) -> dict[str, str]:
    """Writes 10 MB in the middle of a stream, and lets nobody read meanwhile."""
    await ctx.stream("text", "before ")
    line = b"x" * 1_023 + b"\n"
    for _ in range(10_240):
        if way == "stderr":
            sys.stderr.write(line.decode())
        else:
            ctypes.CDLL(None).write(2, line, len(line))
    await ctx.stream("text", "after")
    return {"text": "done"}


@node(outputs={"value": int}, effect="volatile")
def forks(then: str) -> int:
    """Forks a child that lives on, or that goes on as if it were the node; returns its process id."""
    child = os.fork()
    if child or then == "returns":
        return child
    try:
        os.write(1, b"the child writes\n")
        print("the child prints", flush=True)  # noqa: T201
        for fd in range(3, 64):
            try:
                os.write(fd, b"\xff\xff\xff\xff")
            except OSError:
                continue
        time.sleep(1_000)
    finally:
        os._exit(0)


@node(outputs={"value": int}, effect="volatile")
async def forks_the_loop() -> int:
    """Forks a child on the thread of the event loop; both return."""
    return os.fork()


@node(outputs={"value": int}, effect="volatile")
def spawns() -> int:
    """Starts a program that inherits every descriptor it can, and lives on; returns its process id."""
    return subprocess.Popen(["sleep", "1000"], close_fds=False).pid


def deeper(levels: int) -> list[Any]:
    """Lists within lists."""
    made: list[Any] = []
    for _ in range(levels - 1):
        made = [made]
    return made


@node(outputs={"value": Any}, effect="volatile")
def gives(what: str) -> Any:
    """Values of every unwelcome kind."""
    return {
        "nan": lambda: [float("nan"), float("inf"), float("-inf")],
        "big": lambda: -(2**200),
        "deep": lambda: deeper(990),
        "too deep": lambda: deeper(10_000),
        "surrogate": lambda: "\ud800",
        "object": object,
        "circle": lambda: (circle := [], circle.append(circle))[0],
        "300 MB": lambda: "x" * 300_000_000,
        "new words": lambda: {f"never an atom {os.getpid()}": "nor this"},
    }[what]()


@node(outputs={"value": float}, effect="volatile")
async def number(value: float) -> float:
    """Takes numbers only."""
    return value


@node(outputs={"value": Any}, effect="volatile")
def fails(how: str) -> Any:
    """Raises what is hard to tell."""
    if how == "lines":
        raise ValueError("first line\n  second line")
    if how == "surrogate":
        raise ValueError("bad \ud800 text")
    if how == "exit":
        sys.exit(3)
    raise KeyError


@node(
    inputs=[PortSpec(name="items", type="number", multiple=True), PortSpec(name="x", type="number", default=0)],
    outputs={"value": float},
)
async def total(items: list[float], x: float) -> dict[str, float]:
    """What the tests' own node `add` does, in Python."""
    return {"value": sum(items) + x}
