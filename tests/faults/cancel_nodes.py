"""Nodes that are cancelled, that end in ways in which no node should, and that say in files what they do."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from graphport import RunContext, ThreadRunContext, node
from graphport.demand import stuck

# The tests are not to wait for the usual grace.
vars(stuck)["GRACE_S"] = 0.05

ERRORS = {"exit": SystemExit, "interrupt": KeyboardInterrupt, "cancelled": asyncio.CancelledError}


def tell(path: str, word: str) -> None:
    """Append a line."""
    with open(path, "a") as file:
        file.write(f"{word}\n")


@node
def same(value: str) -> str:
    return value


@node
def length(value: str) -> int:
    return len(value)


@node(effect="volatile", stream=True)
async def waits(ctx: RunContext) -> str:
    """Waits for ever, and may be cancelled."""
    await ctx.stream("value", "begun")
    await asyncio.sleep(1_000)
    return "waited"


@node(effect="volatile", stream=True)
def holds(path: str, ctx: ThreadRunContext) -> str:
    """Holds its thread until there is a file of that name, whoever cancels it."""
    ctx.stream("value", "begun")
    while not Path(path).exists():
        time.sleep(0.001)
    return "held"


@node(effect="volatile")
def tells(path: str, word: str) -> str:
    """Writes down that it was run."""
    tell(path, word)
    return word


@node(effect="volatile", execution="inline")
def busy(ms: int) -> int:
    """Holds the event loop, against its promise."""
    until = time.perf_counter() + ms / 1_000
    while time.perf_counter() < until:
        pass
    return ms


@node(effect="volatile", execution="inline")
def raises_inline(what: str) -> str:
    raise ERRORS[what]


@node(effect="volatile")
def raises_in_thread(what: str) -> str:
    raise ERRORS[what]


@node(effect="volatile")
async def raises_at_once(what: str) -> str:
    raise ERRORS[what]


@node(effect="volatile")
async def raises_later(what: str) -> str:
    await asyncio.sleep(0)
    raise ERRORS[what]


@node(effect="volatile")
async def raises_in_a_task(what: str) -> str:
    """In a task of its own, which it awaits."""

    async def child() -> None:
        await asyncio.sleep(0)
        raise ERRORS[what]

    await asyncio.get_running_loop().create_task(child())
    return "not reached"


@node(effect="volatile")
async def exits_in_a_callback() -> str:
    """Where nobody awaits it."""
    asyncio.get_running_loop().call_soon(sys.exit, 3)
    await asyncio.sleep(0)
    return "returned"
