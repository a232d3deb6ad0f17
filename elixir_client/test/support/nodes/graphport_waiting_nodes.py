"""Node types that wait for the test: demands stay open for as long as it wants, or until it kills their engine."""

import asyncio
import ctypes
import time
from typing import Any

from graphport import RunContext, node

_gate = asyncio.Event()


@node(outputs={"text": str}, stream=True, effect="volatile")
async def waits_at_gate(ctx: RunContext, text: str = "") -> dict[str, str]:
    """Streams a first chunk, as a model does, and the second when the gate is open."""
    await ctx.stream("text", f"{text} waits ")
    await _gate.wait()
    await ctx.stream("text", "is through")
    return {"text": text}


@node(outputs={"value": int}, effect="volatile")
async def opens_gate() -> int:
    """Opens the gate for all."""
    _gate.set()
    return 1


@node(outputs={"value": Any}, effect="volatile")
def stops_python(how: str = "sleeps") -> Any:
    """Lets no Python code run, or keeps the event loop or a thread busy."""
    if how == "holds the GIL":
        ctypes.PyDLL(None).sleep(1_000)
    time.sleep(1_000)


@node(outputs={"value": Any}, effect="volatile")
async def stops_loop() -> Any:
    """Blocks the event loop, as a node does that should have been a thread's."""
    time.sleep(1_000)  # noqa: ASYNC251 - what the test is about
