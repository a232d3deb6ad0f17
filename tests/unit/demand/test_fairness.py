"""Nobody waits long for others: sessions take turns, and the loop gets its turn after a few milliseconds of work."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.evaluation import Calls, bench, graph, make_type, turns

pytestmark = pytest.mark.anyio


def fan(width: int) -> dict[str, Any]:
    """`end` reads as many inline nodes."""
    nodes: dict[str, Any] = {f"s{number}": ("source", {"x": number}) for number in range(width)}
    return graph(nodes | {"end": "total"}, *(f"s{number}.value -> end.items" for number in range(width)))


async def test_a_session_with_50000_ready_nodes_does_not_hold_up_another() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(fan(50_000), session=1)
        b.open(graph({"one": ("source", {"x": "one"})}), session=2)
        big = b.start("end", session=1)
        small = b.start("one", session=2)

        await b.sink.answer(small)
        before = len(calls)
        await b.sink.answer(big)

        assert [answer.demand for answer in b.sink.answers] == [small, big]
        assert before < 25_000
        assert len(calls) == 50_002


async def test_many_demands_of_one_session_do_not_hold_up_another() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        nodes: dict[str, Any] = {}
        edges = []
        for number in range(60):
            nodes |= {f"a{number}-{place}": ("source", {"x": (number, place)}) for place in range(200)}
            nodes[f"e{number}"] = "count"
            edges += [f"a{number}-{place}.value -> e{number}.items" for place in range(200)]
        count = make_type("count", lambda inputs, _c: {"value": len(inputs["items"])}, inputs=calls.total().spec.inputs)
        b.evaluator.catalogue.register(count)
        b.open(graph(nodes, *edges), session=1)
        b.open(graph({"one": ("source", {"x": "one"})}), session=2)
        for number in range(60):
            b.evaluator.demand(1_000 + number, 1, f"e{number}")
        small = b.start("one", session=2)
        for number in range(60):
            await b.sink.answer(1_000 + number)

        order = [answer.demand for answer in b.sink.answers]

        assert order.index(small) < 30


@pytest.mark.parametrize("inputs", [None, {"n0": {"x": 1}}], ids=["as it is", "with inputs of its own"])
async def test_a_demand_of_a_large_graph_is_prepared_while_others_are_answered(inputs: Any) -> None:
    calls = Calls()
    nodes: dict[str, Any] = {"n0": ("source", {"x": 0})} | {f"n{place}": "total" for place in range(1, 50_000)}
    async with bench(calls.source(), calls.total()) as b:
        b.open(graph(nodes, *(f"n{place - 1}.value -> n{place}.items" for place in range(1, 50_000))), session=1)
        b.open(graph({"one": ("source", {"x": "one"})}), session=2)
        b.evaluator.demand(1_000, 1, "n49999", inputs)
        small = b.start("one", session=2)
        await b.sink.answer(small)

        assert len(calls) == 1, "of the large graph no node has run yet"

        b.evaluator.cancel(1_000)
        await turns(20)
        assert (await b.sink.answer(1_000)).code == "cancelled"
        assert len(calls) == 1
        assert b.evaluator.runs == {}


async def test_what_comes_meanwhile_makes_no_turns_beside_the_one_that_is_planned() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(fan(100_000))
        demand = b.start("end")
        turns_of_loop = 0

        def count() -> None:
            nonlocal turns_of_loop
            turns_of_loop += 1
            b.evaluator.loop.call_soon(count)

        count()
        steps: list[int] = []
        advance = b.evaluator.advance

        def noted() -> None:
            steps.append(turns_of_loop)
            advance()

        b.evaluator.advance = noted  # type: ignore[method-assign]
        for _ in range(20):
            b.evaluator.advance()  # as the pipe does with each message
            await turns(1)

        assert max(map(steps.count, set(steps))) <= 2, "the pipe's own, and the one that is planned"
        b.evaluator.cancel(demand)


async def test_a_cancel_in_the_midst_of_100000_inline_nodes_is_taken() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(fan(100_000))
        demand = b.start("end")
        while not len(calls):
            await turns(1)

        b.evaluator.cancel(demand)
        ran = len(calls)
        await turns(20)

        assert (await b.sink.answer(demand)).code == "cancelled"
        assert 0 < ran < 100_000
        assert len(calls) == ran, "nothing goes on after it"


@pytest.mark.parametrize("suspends", [False, True])
async def test_a_long_row_of_async_nodes_lets_the_loop_turn(suspends: bool) -> None:
    ran: list[int] = []

    async def step(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        ran.append(1)
        if suspends:
            await asyncio.sleep(0)
        return {"value": inputs["x"]}

    nodes: dict[str, Any] = {f"n{place}": "step" for place in range(30_000)}
    async with bench(make_type("step", step, inputs=["x"])) as b:
        b.open(graph(nodes, *(f"n{place - 1}.value -> n{place}.x" for place in range(1, 30_000))))
        demand = b.start("n29999")
        while not ran:
            await turns(1)

        b.evaluator.cancel(demand)
        at_cancel = len(ran)
        await turns(10)

        assert (await b.sink.answer(demand)).code == "cancelled"
        assert 0 < at_cancel < 30_000
        assert len(ran) == at_cancel


async def test_two_demands_on_one_chain_take_turns_and_run_each_node_once() -> None:
    calls = Calls()
    nodes: dict[str, Any] = {"n0": ("source", {"x": 0})} | {f"n{place}": "total" for place in range(1, 20_000)}
    async with bench(calls.source(), calls.total()) as b:
        b.open(graph(nodes, *(f"n{place - 1}.value -> n{place}.items" for place in range(1, 20_000))))
        demands = [b.start("n19999"), b.start("n19998"), b.start("n19999")]

        answers = [await b.sink.answer(demand) for demand in demands]

        assert [answer.outputs for answer in answers] == [{"value": 19_999}, {"value": 19_998}, {"value": 19_999}]
        assert len(calls) == 20_000
