"""Node types of the soak: plain, waiting, on a thread, streaming, large, failing. Each result can be checked."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NoReturn

from graphport import RunContext, ThreadRunContext, node


@node(effect="volatile", execution="inline")
def plain(value: Any = None) -> Any:
    return value


@node(effect="volatile")
async def waiting(value: Any = None, ms: int = 5) -> Any:
    await asyncio.sleep(ms / 1_000)
    return value


@node(effect="volatile")
def on_thread(value: Any = None, ms: int = 5) -> Any:
    time.sleep(ms / 1_000)
    return value


@node(effect="volatile")
def failing(value: Any = None) -> NoReturn:
    raise ValueError(f"on purpose: {value}")


@node(outputs={"value": Any}, stream=True, effect="volatile")
async def words(ctx: RunContext, value: Any = None, count: int = 100, ms: int = 0) -> dict[str, Any]:
    """The numbers up to `count` as text, which may be joined on its way."""
    for number in range(count):
        await ctx.stream("value", f"{number} ")
        if ms:
            await asyncio.sleep(ms / 1_000)
    return {"value": value}


@node(outputs={"value": Any}, stream=True, effect="volatile")
def numbers(ctx: ThreadRunContext, value: Any = None, count: int = 100, ms: int = 0) -> dict[str, Any]:
    """The numbers up to `count`, each a chunk."""
    for number in range(count):
        ctx.stream("value", number)
        if ms:
            time.sleep(ms / 1_000)
    return {"value": value}
