"""What running has cost so far: per node type, per cache, per demand. Called by `server.queries`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphport.graph.plan import slices

if TYPE_CHECKING:
    from collections.abc import Generator

    from graphport.demand.evaluator import Evaluator
    from graphport.graph.type_stats import TypeStats


def metrics(evaluator: Evaluator, *, reset: bool = False) -> Generator[None, None, dict[str, Any]]:
    """The counters, as the protocol has them; pauses now and then.

    Args:
        evaluator: whose.
        reset: begin anew, once they are read.
    """
    kept = yield from _bytes_kept(evaluator)
    memo, tally = evaluator.memo, evaluator.tally
    at_once = sum(stats.at_once for stats in evaluator.stats.values())
    types = {
        name: _of_type(stats, cacheable=_is_cacheable(evaluator, name), kept=kept.get(name, 0))
        for name, stats in sorted(evaluator.stats.items())
        if stats.executions or stats.failures or stats.hits or stats.at_once or stats.joined
    }
    answer = {
        "types": types,
        "demands": {
            "open": len(evaluator.runs),
            "started": tally.completed + tally.failed + tally.cancelled + at_once + len(evaluator.runs),
            "completed": tally.completed + at_once,
            "failed": tally.failed,
            "cancelled": tally.cancelled,
            "refused": tally.refused,
        },
        "cache": {
            "entries": len(memo),
            "bytes": memo.bytes,
            "max_entries": memo.max_entries,
            "max_bytes": memo.max_bytes,
            "hits": sum(row["cache_hits"] for row in types.values()),
            "misses": sum(row["cache_misses"] for row in types.values()),
            "evictions": memo.evictions - tally.evictions_before,
        },
        "joined": sum(stats.joined for stats in evaluator.stats.values()),
        "runs": tally.last_runs(),
    }
    if reset:
        for stats in evaluator.stats.values():
            stats.reset()
        tally.reset(memo.evictions)
    return answer


def _of_type(stats: TypeStats, *, cacheable: bool, kept: int) -> dict[str, Any]:
    p50, p95 = stats.percentiles(0.5, 0.95) or (None, None)
    return {
        "executions": stats.executions,
        "failures": stats.failures,
        "joined": stats.joined,
        "total_us": int(stats.seconds * 1e6),
        "mean_us": _us(stats.seconds / stats.executions if stats.executions else None),
        "p50_us": _us(p50),
        "p95_us": _us(p95),
        "cache_hits": stats.hits + stats.at_once,
        "cache_misses": stats.executions + stats.failures if cacheable else 0,
        "cached_bytes": kept,
        "chunks": stats.chunks,
    }


def _us(seconds: float | None) -> float | None:
    """Microseconds, with the digits that a trivial node needs."""
    return None if seconds is None else round(seconds * 1e6, 3)


def _is_cacheable(evaluator: Evaluator, name: str) -> bool:
    node_type = evaluator.catalogue.get(name)
    return node_type is not None and node_type.spec.effect in ("pure", "seeded")


def _bytes_kept(evaluator: Evaluator) -> Generator[None, None, dict[str, int]]:
    """Per node type the bytes that the cache holds of its results, so far as remembered runs had them.

    The cache itself knows keys alone: to note a type for each would cost every trivial node.
    """
    kept: dict[str, int] = {}
    counted: set[bytes] = set()
    for session in list(evaluator.sessions.values()):
        for record in session.history.records():
            for places in slices(record.plan.size):
                for place in places:
                    key = record.keys[place]
                    if key is None or key in counted:
                        continue
                    size = evaluator.memo.size(key)
                    if size is not None:
                        counted.add(key)
                        name = record.plan.nodes[place].type.spec.type
                        kept[name] = kept.get(name, 0) + size
                yield
    return kept
