"""What the evaluator costs per node, against a bare loop over `graphlib.TopologicalSorter` that calls the functions.

The bare loop orders the graph again in each run, calls each function with its inputs and stores the result. The
evaluator does that with keys, cache, metrics and a sink in memory, in the same process and rounds. Prints rows for
`table.py`, and what it is doing on standard error. Called by `scripts/bench`; other engines are measured by `peers`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING, Any, Final

from scripts.benchmarks.graphport_engine import ASYNC, INLINE, WAITS, Engine
from scripts.benchmarks.loop import new_loop
from scripts.benchmarks.shapes import LONG_CHAIN, SHAPES, Bare, chain
from scripts.benchmarks.timing import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.benchmarks.shapes import Functions, Shape

_ROUNDS: Final = 21
_WARM_UP: Final = 2
# Each name in the rows, the functions it runs, and whether the demand wants events.
_WAYS: Final = (("sync", INLINE, False), ("events", INLINE, True), ("async", ASYNC, False), ("waits", WAITS, False))


async def _demanded(engine: Engine) -> tuple[float, Any]:
    gc.collect()
    return await engine.demand()


async def _measure(title: str, make: Callable[[Functions], Shape]) -> None:
    print(f"    {title}", file=sys.stderr, flush=True)
    plain, waits = Bare.of(make(INLINE)), Bare.of(make(WAITS))
    engines = {name: Engine(make(functions), events=events) for name, functions, events in _WAYS}
    rounds = Rounds()
    for number in range(_ROUNDS + _WARM_UP):
        if number == _WARM_UP:
            rounds = Rounds()
        gc.collect()
        rounds.add("bare", plain.run())
        rounds.note("load", engines["sync"].reopen())
        rounds.add("first", await _demanded(engines["sync"]))
        for name, engine in engines.items():
            engine.reopen()
            rounds.note("plan", engine.plan())
            rounds.add(name, await _demanded(engine))
        rounds.add("warm", await _demanded(engines["sync"]))
        gc.collect()
        rounds.add("bare awaiting", await waits.run_awaiting())
    count = len(make(INLINE))
    rounds.row(f"{title}: sync nodes, cold", "sync", "bare", count, "<=0.8x")
    rounds.row(f"{title}: the same, events told", "events", "bare", count, "<=0.8x")
    rounds.row(f"{title}: warm", "warm", "bare", count, "<=0.25x")
    rounds.row(f"{title}: async nodes, cold", "async", "bare", count, "<=1x" if title.startswith("chain") else "<=2.6x")
    rounds.row(f"{title}: all suspend; peer awaits", "waits", "bare awaiting", count)
    rounds.row(f"{title}: first demand, planning too", "first", "bare", count)
    for name in ("load", "plan"):
        print(f"{title}: to {name} the graph\t{rounds.micros(name, count):.2f} us/node", flush=True)


async def _measure_long_chain() -> None:
    print("    chain 100,000", file=sys.stderr, flush=True)
    plain = Bare.of(chain(INLINE, LONG_CHAIN))
    for functions, name in ((INLINE, "sync"), (ASYNC, "async")):
        rounds, engine = Rounds(), Engine(chain(functions, LONG_CHAIN))
        for _ in range(3):
            gc.collect()
            rounds.add("bare", plain.run())
            rounds.note("load", engine.reopen())
            rounds.note("plan", engine.plan())
            rounds.add("cold", await _demanded(engine))
        rounds.row(f"chain 100,000: {name} nodes, cold", "cold", "bare", LONG_CHAIN)
        if functions is INLINE:
            for step in ("load", "plan"):
                micros = rounds.micros(step, LONG_CHAIN)
                print(f"chain 100,000: to {step} the graph\t{micros:.2f} us/node", flush=True)


async def main() -> None:
    for title, make in SHAPES.items():
        await _measure(title, make)
    await _measure_long_chain()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
