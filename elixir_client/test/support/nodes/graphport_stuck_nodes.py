"""Nodes that are cancelled while they work: some end, some do not. Each tells a file how it fares."""

import asyncio
import time
from pathlib import Path
from typing import Any

from graphport import RunContext, ThreadRunContext, node
from graphport.demand import stuck

# The tests are not to wait for the usual grace.
vars(stuck)["GRACE_S"] = 0.05


def tell(path: str, word: str) -> None:
    """Append a line."""
    with open(path, "a") as file:
        file.write(f"{word}\n")


@node(outputs={"value": str})
def fine() -> str:
    """Does what it should."""
    return "fine"


@node(outputs={"text": str}, stream=True, effect="volatile")
def sleeps_for_ever(ctx: ThreadRunContext) -> dict[str, str]:
    """Cannot be stopped once it has said so."""
    ctx.stream("text", "begun")
    time.sleep(1_000)
    return {"text": "slept"}


@node(outputs={"text": str}, stream=True, effect="volatile")
async def goes_on_for_ever(ctx: RunContext) -> dict[str, str]:
    """Does not let itself be cancelled."""
    await ctx.stream("text", "begun")
    while True:
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            continue


@node(outputs={"text": str}, stream=True)
async def works(path: str, ctx: RunContext) -> dict[str, str]:
    """Works until there is a file of that name with `.go` behind it."""
    tell(path, "begun")
    await ctx.stream("text", "begun")
    try:
        while not Path(f"{path}.go").exists():  # noqa: ASYNC110, ASYNC240 - the test has no other way to say it
            await asyncio.sleep(0.001)
    finally:
        tell(path, "ended")
    return {"text": "done"}


@node(outputs={"text": str}, stream=True)
def works_in_a_thread(path: str, ctx: ThreadRunContext) -> dict[str, str]:
    """The same on a thread."""
    tell(path, "begun")
    ctx.stream("text", "begun")
    try:
        while not Path(f"{path}.go").exists():
            ctx.check_cancelled()
            time.sleep(0.001)
    finally:
        tell(path, "ended")
    return {"text": "done"}


@node(outputs={"value": Any}, effect="volatile")
def same(value: Any = None) -> Any:
    """Gives its input back."""
    return value
