"""Does a slow node hold up what hangs on a fast one? Prints when that ran, in seconds since the fast one began.

    python -m scripts.benchmarks.peers.sibling on_langgraph

The line printed is JSON. `fast` takes 0.1 s and `after_fast` reads it; `slow` takes 1 s and nothing but `join` reads
that. Called by `compare`, for the engines whose file has `run_async`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import import_module
from time import perf_counter
from typing import Final

from scripts.benchmarks.loop import new_loop
from scripts.benchmarks.shapes import Shape, Step

FAST_S: Final = 0.1
SLOW_S: Final = 1.0

_ran_at: dict[str, float] = {}


async def fast() -> int:
    _ran_at["fast"] = perf_counter()
    await asyncio.sleep(FAST_S)
    return 1


async def slow() -> int:
    await asyncio.sleep(SLOW_S)
    return 2


async def after_fast(value: int) -> int:
    _ran_at["after_fast"] = perf_counter()
    return value + 10


async def join(a: int, b: int) -> int:
    return a + b


SHAPE: Final = Shape(
    {
        "fast": Step(fast),
        "slow": Step(slow),
        "after_fast": Step(after_fast, ("fast",), ("value",)),
        "join": Step(join, ("after_fast", "slow"), ("a", "b")),
    }
)
JOINED: Final = 13


async def main(engine: str) -> None:
    run_async = import_module(f"scripts.benchmarks.peers.{engine}").run_async
    value = await run_async(SHAPE)
    if value != JOINED:
        raise AssertionError(f"{engine} gave {value!r}, not {JOINED}")
    print(json.dumps({"after_fast_s": _ran_at["after_fast"] - _ran_at["fast"]}))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main(*sys.argv[1:]))
