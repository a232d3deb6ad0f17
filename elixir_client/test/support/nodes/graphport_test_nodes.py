"""Node types of the Elixir integration tests, written as a user writes them."""

import asyncio
import time
from typing import Any

from graphport import RunContext, ThreadRunContext, node


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
