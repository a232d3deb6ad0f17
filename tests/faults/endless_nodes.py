"""Nodes that stream for as long as they are let, and one that says how far they are."""

from __future__ import annotations

from typing import Any

from graphport import RunContext, ThreadRunContext, node
from graphport.core.errors import DemandStopped

made: dict[str, int] = {}
running: dict[str, int] = {}


def chunk(kind: str, number: int) -> Any:
    """The chunk of that number."""
    if kind == "text":
        return f"{number} "
    if kind == "long text":
        return f"{number} " * 500
    if kind == "bytes":
        return number.to_bytes(8, "big") * 4_096
    return "" if kind == "empty" else number


@node(outputs={"value": Any}, stream=True, effect="volatile")
async def endless(ctx: RunContext, kind: str = "text", name: str = "") -> Any:
    """Streams as fast as it can."""
    running[name] = running.get(name, 0) + 1
    try:
        number = 0
        while True:
            await ctx.stream("value", chunk(kind, number))
            number += 1
            made[name] = number
    finally:
        running[name] -= 1


@node(outputs={"value": Any}, stream=True, effect="volatile")
def endless_thread(ctx: ThreadRunContext, kind: str = "text", name: str = "") -> Any:
    """The same, on a thread."""
    running[name] = running.get(name, 0) + 1
    try:
        number = 0
        while True:
            ctx.stream("value", chunk(kind, number))
            number += 1
            made[name] = number
    finally:
        running[name] -= 1


@node(outputs={"value": Any}, stream=True, effect="volatile")
async def endless_progress(ctx: RunContext, name: str = "") -> Any:
    """Tells how far it is, without end; nothing holds that back, and one chunk is streamed at its start."""
    import asyncio

    await ctx.stream("value", "begun")
    number = 0
    while True:
        number += 1
        made[name] = number
        ctx.progress(None, str(number))
        if not number % 100:
            await asyncio.sleep(0)


@node(outputs={"value": Any}, stream=True)
async def counts_to(ctx: RunContext, n: int = 0, then: str = "", name: str = "") -> Any:
    """Streams so many numbers, then returns or fails."""
    for number in range(n):
        made[name] = number + 1
        await ctx.stream("value", number)
    if then == "raises":
        raise ValueError(then)
    if then == "stops":
        raise DemandStopped("what it needs is stopping", code="shutting_down")
    return n


@node(outputs={"value": Any}, stream=True)
async def repeats(ctx: RunContext, size: int = 0) -> Any:
    """Streams a long text, which is kept with its result."""
    for _ in range(size // 1_000):
        await ctx.stream("value", "x" * 1_000)
    return size


@node(outputs={"value": int}, effect="volatile")
async def far(name: str = "") -> dict[str, int]:
    """How many chunks a node has made."""
    return {"value": made.get(name, 0)}


@node(outputs={"value": list}, effect="volatile")
async def far_all() -> dict[str, list[int]]:
    """How many chunks each node has made."""
    return {"value": list(made.values())}


@node(outputs={"value": int}, effect="volatile")
async def alive(name: str = "") -> dict[str, int]:
    """How many nodes of a name are under way."""
    return {"value": running.get(name, 0)}


@node(outputs={"value": bytes}, effect="volatile")
async def zeros(size: int = 0) -> bytes:
    """A long answer."""
    return bytes(size)
