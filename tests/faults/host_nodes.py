"""Nodes for a hostile host: they wait, or stream without end."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

from graphport import RunContext, ThreadRunContext, node


@node(effect="volatile")
async def waits() -> NoReturn:
    await asyncio.sleep(3_600)
    raise AssertionError


@node(outputs={"value": Any}, stream=True, effect="volatile")
async def counts(to: int, ctx: RunContext) -> int:
    for number in range(to):
        await ctx.stream("value", f"{number} ")
    return to


@node(outputs={"value": Any}, stream=True, effect="volatile")
async def endless(ctx: RunContext) -> NoReturn:
    while True:
        await ctx.stream("value", "some words ")


@node(outputs={"value": Any}, stream=True, effect="volatile")
def endless_in_thread(ctx: ThreadRunContext) -> NoReturn:
    while True:
        ctx.stream("value", "some words ")


@node(outputs={"value": Any}, stream=True, effect="volatile")
async def endless_bytes(ctx: RunContext) -> NoReturn:
    while True:
        await ctx.stream("value", b"x" * 10_000)


@node(outputs={"value": Any}, stream=True, effect="volatile")
def endless_bytes_in_thread(ctx: ThreadRunContext) -> NoReturn:
    while True:
        ctx.stream("value", b"x" * 10_000)
