"""Node types for the benchmarks: they cost next to nothing themselves."""

from __future__ import annotations

import asyncio

from graphport import RunContext, node


@node(outputs={"text": str}, stream=True, effect="volatile")
async def tokens(ctx: RunContext, count: int = 0, one_by_one: bool = False) -> dict[str, str]:
    """Streams `count` tokens, each in a wake-up of its own or all in one."""
    for _ in range(count):
        await ctx.stream("text", "a token")
        if one_by_one:
            await asyncio.sleep(0)
    return {"text": ""}
