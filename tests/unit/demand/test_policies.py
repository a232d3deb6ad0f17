"""What a node type says about keeping its results is done, and harms no demand."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.evaluation import Calls, bench, graph, make_type, many

from graphport.contracts.cache_policy import CachePolicy
from graphport.graph.authoring import node, node_type_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.contracts.node import NodeType

KINDS = ("inline", "async", "thread")


def counted(calls: list[int], kind: str, policy: CachePolicy | None, **spec: Any) -> NodeType:
    """A type that notes the `x` it ran for; 13 fails."""

    def work(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        calls.append(inputs["x"])
        if inputs["x"] == 13:
            raise ValueError
        return {"value": [inputs["x"]]}

    async def later(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        return work(inputs, ctx)

    handler: Callable[..., Any] = later if kind == "async" else work
    return replace(make_type("counted", handler, inputs=["x"], execution=kind, **spec), cache=policy)


def numbers(*values: int) -> dict[str, Any]:
    return graph({f"n{value}": ("counted", {"x": value}) for value in values})


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_the_last_results_of_a_type_are_kept(kind: str) -> None:
    calls: list[int] = []
    async with bench(counted(calls, kind, CachePolicy(keep=2))) as b:
        b.open(numbers(1, 2, 3))
        for value in (1, 2, 3):
            await b.outputs(f"n{value}")
        assert (await b.demand("n2")).meta["cached"]
        assert (await b.demand("n3")).meta["cached"]

        assert not (await b.demand("n1")).meta["cached"]
        assert not (await b.demand("n2")).meta["cached"]
        assert calls == [1, 2, 3, 1, 2]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_failure_pushes_no_result_out(kind: str) -> None:
    calls: list[int] = []
    async with bench(counted(calls, kind, CachePolicy(keep=1))) as b:
        b.open(numbers(1, 13))
        await b.outputs("n1")
        assert await b.fails("n13") == "node_failed"

        assert (await b.demand("n1")).meta["cached"]


@pytest.mark.anyio
async def test_results_of_other_types_are_not_counted() -> None:
    calls: list[int] = []
    other = Calls()
    async with bench(counted(calls, "inline", CachePolicy(keep=1)), other.source()) as b:
        b.open(numbers(1), session=1)
        b.open(graph({f"s{n}": ("source", {"x": n}) for n in range(5)}), session=2)
        await b.outputs("n1")
        for n in range(5):
            await b.outputs(f"s{n}", session=2)

        assert (await b.demand("n1")).meta["cached"]
        assert (await b.demand("s0", session=2)).meta["cached"]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_results_for_some_inputs_are_not_kept(kind: str) -> None:
    calls: list[int] = []
    async with bench(counted(calls, kind, CachePolicy(skip=lambda inputs: inputs["x"] > 1))) as b:
        b.open(numbers(1, 2))
        for _ in range(2):
            assert await b.outputs("n1") == {"value": [1]}
            assert await b.outputs("n2") == {"value": [2]}

        assert calls == [1, 2, 2]


@pytest.mark.anyio
async def test_what_reads_a_result_that_is_not_kept_is_kept_itself() -> None:
    calls: list[int] = []
    total = make_type("total", lambda i, _c: {"value": len(i["items"])}, inputs=[many("items")])
    async with bench(counted(calls, "inline", CachePolicy(skip=lambda _inputs: True)), total) as b:
        b.open(graph({"n": ("counted", {"x": 1}), "t": "total"}, "n.value -> t.items"))
        await b.outputs("t")

        assert (await b.demand("t")).meta["cached"]
        assert not (await b.demand("n")).meta["cached"]
        assert calls == [1, 1]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_policy_that_raises_is_told_of_once_and_harms_no_demand(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(inputs: Any) -> bool:
        raise SystemExit(inputs["none such"])

    calls: list[int] = []
    async with bench(counted(calls, kind, CachePolicy(skip=broken))) as b:
        b.open(numbers(1))
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert await b.outputs("n1") == {"value": [1]}

        assert calls == [1, 1, 1]
        assert [record.message for record in caplog.records] == [
            "the cache policy of node type 'counted' raised KeyError: its results are not kept"
        ]


@pytest.mark.anyio
async def test_a_policy_cannot_change_the_inputs() -> None:
    def greedy(inputs: Any) -> bool:
        inputs["x"] = 2
        return False

    calls: list[int] = []
    async with bench(counted(calls, "inline", CachePolicy(skip=greedy))) as b:
        b.open(numbers(1))

        assert await b.outputs("n1") == {"value": [1]}


@pytest.mark.anyio
async def test_it_sees_what_the_demand_gives() -> None:
    calls: list[int] = []
    async with bench(counted(calls, "inline", CachePolicy(skip=lambda inputs: inputs["x"] == 5))) as b:
        b.open(numbers(1))
        for _ in range(2):
            await b.outputs("n1", inputs={"n1": {"x": 5}})
            await b.outputs("n1", inputs={"n1": {"x": 6}})

        assert calls == [5, 6, 5]


def test_the_decorator_takes_a_policy() -> None:
    policy = CachePolicy(keep=3, store=False)

    @node(cache=policy)
    def kept(x: int) -> int:
        return x

    assert node_type_of(kept).cache is policy


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CachePolicy(keep=0), "keep should be a number of results from 1"),
        (lambda: CachePolicy(keep=True), "keep should be"),
        (lambda: CachePolicy(skip="x"), "skip should be a function"),  # type: ignore[arg-type]
        (lambda: CachePolicy(store="yes"), "store should be True, False or None"),  # type: ignore[arg-type]
        (lambda: node(cache="yes")(lambda x: x), "cache should be a CachePolicy"),  # type: ignore[call-overload]
        (lambda: node(cache=CachePolicy(), effect="effect")(lambda x: x), "never kept"),
    ],
)
def test_a_wrong_policy_is_refused_where_it_is_written(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        make()
