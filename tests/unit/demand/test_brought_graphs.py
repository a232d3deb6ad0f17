"""Graphs that nodes bring themselves: what streams within them, and a node that would have to wait for itself."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.compounds import inner
from tests.support.evaluation import Door, bench, graph, make_type, streamed, turns

pytestmark = pytest.mark.anyio


async def test_who_joins_hears_what_was_streamed_within_by_path() -> None:
    door = Door()

    async def talk(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await ctx.stream("value", "ab")
        await door.wait()
        return {"value": "ab"}

    async def bring(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await ctx.stream("value", "own")
        return {"value": (await ctx.evaluate(inner({"s": "talk"}, outputs={"said": "s.value"}), {}))["said"]}

    async with bench(
        make_type("talk", talk, outputs=[streamed("value")]), make_type("bring", bring, outputs=[streamed("value")])
    ) as made:
        made.open(graph({"c": "bring"}))
        first = made.start("c", stream=True)
        await door.reached.wait()
        second = made.start("c", stream=True)
        await turns()
        door.opened.set()

        told = (await made.sink.answer(first)).chunks
        assert [(chunk.node, chunk.port, chunk.value) for chunk in told] == [
            ("c", "value", "own"),
            ("c/s", "value", "ab"),
        ]
        assert (await made.sink.answer(second)).chunks == told
        assert (await made.demand("c", stream=True)).chunks == told


async def test_a_node_that_evaluates_itself_fails() -> None:
    async def bring(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        return dict(await ctx.evaluate(graph({"s": "bring"}), {}, targets=["s"]))

    async with bench(make_type("bring", bring)) as made:
        made.open(graph({"c": "bring"}))

        assert await made.fails("c") == "cycle"


async def test_two_nodes_that_evaluate_each_other_fail() -> None:
    async def ping(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        return dict(await ctx.evaluate(graph({"s": "pong"}), {}, targets=["s"]))

    async def pong(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        return dict(await ctx.evaluate(graph({"s": "ping"}), {}, targets=["s"]))

    async with bench(make_type("ping", ping), make_type("pong", pong)) as made:
        made.open(graph({"a": "ping", "b": "pong"}))
        first, second = made.start("a"), made.start("b")

        assert (await made.sink.answer(first)).code == "cycle"
        assert (await made.sink.answer(second)).code == "cycle"
