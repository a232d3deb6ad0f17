"""Node types for `health.exs`: one that streams for as long as it is wanted, and one that waits."""

from __future__ import annotations

import asyncio

from graphport import RunContext, node


@node(outputs={"text": str}, stream=True, effect="volatile")
async def streams(ctx: RunContext) -> dict[str, str]:
    """Streams tokens, each in a wake-up of its own, until it is cancelled."""
    while True:
        await ctx.stream("text", "a token")
        await asyncio.sleep(0)


@node(outputs={"value": int}, effect="volatile")
async def waits() -> int:
    """Waits until it is cancelled, like a node whose model has no slot free."""
    await asyncio.Event().wait()
    return 0
