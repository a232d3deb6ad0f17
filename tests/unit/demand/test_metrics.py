"""What `metrics` counts: exactly, per node type and per demand."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from tests.support.evaluation import Bench, Calls, Door, bench, graph, make_type, streamed, turns

from graphport.demand.memo import Memo
from graphport.demand.questions.metrics import metrics
from graphport.graph.plan import made
from graphport.graph.type_stats import TypeStats

pytestmark = pytest.mark.anyio


def asked(b: Bench, **options: Any) -> dict[str, Any]:
    return made(metrics(b.evaluator, **options))


def many_nodes(count: int, **extra: str) -> dict[str, Any]:
    sources = {f"s{place}": ("source", {"x": place}) for place in range(count)}
    return graph({**sources, "t": "total", **extra}, *(f"{name}.value -> t.items" for name in sources))


async def test_executions_hits_and_misses_are_counted_per_type() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total(), calls.total("more")) as b:
        b.open(many_nodes(40))
        await b.outputs("t")
        await b.outputs("t")
        await b.outputs("s3")
        types = asked(b)["types"]

    counts = {name: (row["executions"], row["cache_hits"], row["cache_misses"]) for name, row in types.items()}
    assert counts == {"source": (40, 1, 40), "total": (1, 1, 1)}
    assert types["source"]["mean_us"] == pytest.approx(types["source"]["total_us"] / 40, abs=0.05)
    assert types["source"]["p50_us"] <= types["source"]["p95_us"]


async def test_a_failing_node_takes_nothing_from_the_counts_of_those_before_it() -> None:
    def fail(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        raise ValueError

    calls = Calls()
    async with bench(calls.source(), calls.total(), make_type("bad", fail, inputs=["x"])) as b:
        b.open(
            graph(
                {"a": ("source", {"x": 1}), "b": ("source", {"x": 2}), "bad": "bad"},
                "a.value -> bad.x",
            )
        )
        assert await b.fails("bad") == "node_failed"
        answer = asked(b)

    assert answer["types"]["source"]["executions"] == 1
    assert (answer["types"]["bad"]["executions"], answer["types"]["bad"]["failures"]) == (0, 1)
    assert answer["types"]["bad"]["p50_us"] is None
    assert (answer["demands"]["failed"], answer["demands"]["completed"]) == (1, 0)
    assert [(run["state"], run["code"]) for run in answer["runs"]] == [("failed", "node_failed")]


async def test_nodes_of_alternating_types_in_one_batch_are_counted_each_for_its_own() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total(), calls.total("more")) as b:
        nodes: dict[str, Any] = {"n0": ("source", {"x": 1})}
        edges = []
        for place in range(1, 50):
            nodes[f"n{place}"] = "total" if place % 2 else "more"
            edges.append(f"n{place - 1}.value -> n{place}.items")
        b.open(graph(nodes, *edges))
        await b.outputs("n49")
        types = asked(b)["types"]

    assert {name: row["executions"] for name, row in types.items()} == {"source": 1, "total": 25, "more": 24}


@pytest.mark.parametrize("execution", ["async", "thread"])
async def test_executions_that_leave_the_loop_are_counted_joined_and_failed(execution: str) -> None:
    door = Door()
    failing = False

    async def wait(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        await door.wait()
        if failing:
            raise ValueError
        return {"value": 1}

    def work(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        loop = b.evaluator.loop
        return asyncio.run_coroutine_threadsafe(wait({}, None), loop).result()

    handler = wait if execution == "async" else work
    async with bench(make_type("slow", handler, inputs=["x"], execution=execution)) as b:
        b.open(graph({"n": "slow"}))
        first, second = b.start("n"), b.start("n")
        await door.reached.wait()
        door.opened.set()
        assert (await b.sink.answer(first)).outputs == (await b.sink.answer(second)).outputs == {"value": 1}
        failing = True
        assert await b.fails("n", inputs={"n": {"x": 2}}) == "node_failed"
        answer = asked(b)

    row = answer["types"]["slow"]
    assert (row["executions"], row["joined"], row["failures"]) == (1, 1, 1)
    assert answer["joined"] == 1


async def test_demands_are_counted_by_how_they_ended_and_the_last_hundred_runs_kept() -> None:
    door = Door()

    async def wait(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        await door.wait()
        return {"value": 1}

    calls = Calls()
    async with bench(make_type("slow", wait), calls.source()) as b:
        b.open(graph({"slow": "slow", "s": ("source", {"x": 1})}))
        for x in range(120):
            await b.outputs("s", inputs={"s": {"x": x}})
        await b.fails("nobody")
        b.evaluator.cancel(b.start("slow"))
        waiting = b.start("slow")
        counts = asked(b)
        door.opened.set()
        await b.sink.answer(waiting)
        await turns()

    assert counts["demands"] == {
        "open": 1,
        "started": 122,
        "completed": 120,
        "failed": 0,
        "cancelled": 1,
        "refused": 1,
    }
    assert len(counts["runs"]) == 100
    assert [run["demand"] for run in counts["runs"]][-2:] == [120, 122]
    last = counts["runs"][-2]
    assert (last["node"], last["state"], last["ran"], last["cache_hit"]) == ("s", "completed", 1, False)
    assert last["prepare_us"] + last["runtime_us"] <= last["total_us"] <= last["prepare_us"] + last["runtime_us"] + 1


async def test_bytes_kept_are_told_per_type_and_evictions_counted() -> None:
    calls = Calls()
    big = calls.inline("big", lambda inputs: {"value": "x" * inputs["n"]}, inputs=["n"])
    async with bench(big, calls.total(), memo=Memo(max_bytes=100_000)) as b:
        b.open(graph({"a": ("big", {"n": 40_000}), "b": ("big", {"n": 41_000}), "c": ("big", {"n": 70_000})}))
        await b.outputs("a")
        await b.outputs("b")
        before = asked(b)
        await b.outputs("c")
        after = asked(b)

    assert 81_000 <= before["types"]["big"]["cached_bytes"] <= 83_000
    assert before["types"]["big"]["cached_bytes"] == before["cache"]["bytes"]
    assert (before["cache"]["entries"], before["cache"]["evictions"]) == (2, 0)
    assert 70_000 <= after["types"]["big"]["cached_bytes"] <= 72_000
    assert (after["cache"]["entries"], after["cache"]["evictions"]) == (1, 2)


async def test_streamed_chunks_are_counted() -> None:
    async def talk(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        for piece in "abc":
            await ctx.stream("text", piece)
        return {"text": "abc"}

    async with bench(make_type("talk", talk, outputs=[streamed("text")])) as b:
        b.open(graph({"n": "talk"}))
        await b.outputs("n", stream=True)
        assert asked(b)["types"]["talk"]["chunks"] == 3


async def test_reset_answers_what_was_and_begins_anew() -> None:
    calls = Calls()
    async with bench(calls.source(), memo=Memo(max_entries=1)) as b:
        b.open(graph({"a": ("source", {"x": 1}), "b": ("source", {"x": 2})}))
        await b.outputs("a")
        await b.outputs("b")
        old = asked(b, reset=True)
        new = asked(b)

    assert (old["types"]["source"]["executions"], old["cache"]["evictions"], len(old["runs"])) == (2, 1, 2)
    assert (new["types"], new["cache"]["evictions"], new["runs"]) == ({}, 0, [])
    assert new["demands"]["started"] == 0


async def test_a_volatile_type_has_no_misses() -> None:
    calls = Calls()
    async with bench(calls.source("volatile", effect="volatile")) as b:
        b.open(graph({"a": ("volatile", {"x": 1})}))
        await b.outputs("a")
        row = asked(b)["types"]["volatile"]

    assert (row["executions"], row["cache_misses"], row["cached_bytes"]) == (1, 0, 0)


def test_percentiles_are_those_of_the_last_executions(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(7)
    stats = TypeStats()
    last: list[list[float]] = []
    for _ in range(1_500):
        executions, seconds = draw.randint(1, 16), draw.lognormvariate(-9, 2)
        monkeypatch.setattr("graphport.graph.type_stats.perf_counter", lambda seconds=seconds: seconds)
        stats.add(executions, 0.0)
        last.append([seconds / executions] * executions)
    recent = sorted(duration for batch in last[-1_000:] for duration in batch)

    shares = (0.05, 0.5, 0.95, 1.0)
    exact = [recent[min(int(share * len(recent)), len(recent) - 1)] for share in shares]
    assert stats.percentiles(*shares) == pytest.approx(exact, rel=0.01)
    assert stats.executions > len(recent)
    assert TypeStats().percentiles(0.5) is None
