"""Measures one variant with one shape in a process of its own, and prints what it found as a line of JSON.

    python -m scripts.benchmarks.peers.measure on_dask "Dask, threads" "chain 1,000"

The bare loop runs in the same process and the same rounds. What the process held at most is read after them, and then
one more run tells what a run makes. Called by `compare`, in the environment of the engine.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from importlib.metadata import version
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from scripts.benchmarks import memory
from scripts.benchmarks.loop import new_loop
from scripts.benchmarks.peers.roster import variants
from scripts.benchmarks.shapes import LONG_CHAIN, PLAIN, SHAPES, SMALL_SHAPES, Bare, chain
from scripts.benchmarks.timing import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.benchmarks.peers.variant import Prepared, Variant
    from scripts.benchmarks.shapes import Functions, Shape

LONG: Final = "chain 100,000"
_ROUNDS: Final = 15
_FEWEST_ROUNDS: Final = 3
# Rounds end after so many seconds, once the fewest are done.
_ENOUGH_S: Final = 1.0
# And here even if they are not.
_TOO_LONG_S: Final = 3.0
# Runs of at most so many microseconds are traced for their memory.
_TRACED_US: Final = 1_500_000
# Of a round the bare loop takes the middle one of so many runs: beside a run of a second, one of 2 ms is a moment.
_BARE_RUNS: Final = 3


async def measured(variant: Variant, title: str) -> dict[str, Any]:
    """What `compare` wants to know; see `_rounds` for the times."""
    for small in SMALL_SHAPES.values():
        await variant.prepare(small(variant.functions)).run()
    make: Callable[[Functions], Shape] = SHAPES.get(title) or (lambda functions: chain(functions, LONG_CHAIN))
    shape, bare = make(variant.functions), Bare.of(make(PLAIN))
    began = perf_counter()
    prepared = variant.prepare(shape)
    built = perf_counter() - began
    first, (_, wanted) = await prepared.run(), bare.run()
    if first != wanted:
        raise AssertionError(f"{variant.name} gave {first!r}, the bare loop {wanted!r}")
    times = await _rounds(variant, prepared, bare, len(shape))
    peak = memory.peak()
    # Tracing makes a run several times as long, and one that is long already tells little that the peak does not.
    traced: dict[str, float] = {}
    if times["cold_us"] * len(shape) < _TRACED_US:
        prepared.forget()
        traced = {"made_mib": await memory.made(prepared.run()) / memory.MIB}
    return {
        "version": version(variant.distribution) if variant.distribution else sys.version.split()[0],
        "build_us": built / len(shape) * 1e6,
        "peak_mib": peak / memory.MIB,
        **traced,
        **times,
    }


async def _rounds(variant: Variant, prepared: Prepared, bare: Bare, count: int) -> dict[str, float]:
    """Microseconds per node of each way, and its ratio to the bare loop."""
    rounds = Rounds()
    began = perf_counter()
    done = 0
    while _another(done, perf_counter() - began):
        gc.collect()
        runs = [bare.run() for _ in range(_BARE_RUNS)]
        rounds.add("bare", (median(seconds for seconds, _ in runs), runs[0][1]))
        prepared.forget()
        rounds.add("cold", await _timed(prepared))
        if variant.caches:
            rounds.add("warm", await _timed(prepared))
        done += 1
    found = {"bare_us": rounds.micros("bare", count), "rounds": done}
    for name in ("cold", "warm") if variant.caches else ("cold",):
        found |= {f"{name}_us": rounds.micros(name, count), f"{name}_ratio": rounds.ratio(name, "bare")}
    return found


def _another(done: int, seconds: float) -> bool:
    if done == 0:
        return True
    return seconds < _TOO_LONG_S if done < _FEWEST_ROUNDS else done < _ROUNDS and seconds < _ENOUGH_S


async def _timed(prepared: Prepared) -> tuple[float, Any]:
    gc.collect()
    began = perf_counter()
    value = await prepared.run()
    return perf_counter() - began, value


def main(engine: str, name: str, title: str) -> None:
    variant = next(one for one in variants(engine) if one.name == name)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        print(json.dumps(runner.run(measured(variant, title))))


if __name__ == "__main__":
    main(*sys.argv[1:])
