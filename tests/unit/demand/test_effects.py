"""Effect classes: what may be kept and shared, and what runs once for every demand."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.evaluation import Calls, Door, bench, graph, make_type, many

from graphport.contracts.node import PortSpec

if TYPE_CHECKING:
    from graphport.contracts.node import NodeType

pytestmark = pytest.mark.anyio


def ticker(calls: Calls, effect: str = "volatile") -> NodeType:
    numbers = itertools.count(1)
    return calls.inline("tick", lambda _inputs: {"value": next(numbers)}, effect=effect)


def sampler(calls: Calls) -> NodeType:
    return calls.inline(
        "sample",
        lambda inputs: {"value": inputs["seed"]},
        inputs=[PortSpec(name="seed", type="integer"), "x"],
        effect="seeded",
    )


@pytest.mark.parametrize("effect", ["volatile", "effect"])
async def test_it_runs_anew_for_every_demand_and_once_in_each(effect: str) -> None:
    calls = Calls()
    async with bench(ticker(calls, effect), calls.total()) as b:
        b.open(
            graph(
                {"t": "tick", "l": "total", "r": "total", "end": "total"},
                "t.value -> l.items",
                "t.value -> r.items",
                "l.value -> end.items",
                "r.value -> end.items",
            )
        )

        assert [(await b.outputs("end"))["value"] for _ in range(3)] == [5, 7, 9]
        assert calls.count("t") == 3
        assert len(b.evaluator.memo) == 0, "neither it nor what hangs on it is stored"


async def test_what_does_not_hang_on_it_is_kept() -> None:
    calls = Calls()
    async with bench(calls.source(), ticker(calls), calls.total()) as b:
        b.open(
            graph(
                {"s": ("source", {"x": 1}), "k": "total", "t": "tick", "end": "total"},
                "s.value -> k.items",
                "k.value -> end.items",
                "t.value -> end.items",
            )
        )
        await b.outputs("end")
        await b.outputs("end")

        assert [calls.count(name) for name in ("s", "k", "t", "end")] == [1, 1, 2, 2]
        assert len(b.evaluator.memo) == 2


async def test_what_hangs_on_it_through_a_gate_or_beside_one_is_not_stored_either() -> None:
    calls = Calls()
    async with bench(ticker(calls), calls.total()) as b:
        b.open(
            graph(
                {"t": "tick", "gate": ("conditional", {"condition": True}), "a": "total", "b": "total"},
                "t.value -> gate.value",
                "gate.true_out -> a.items",
                "a.value -> b.items",
                "t.value -> b.items",
            )
        )

        assert [(await b.outputs("b"))["value"] for _ in range(3)] == [4, 6, 8]
        assert len(b.evaluator.memo) == 0


async def test_an_equal_value_of_it_may_be_kept_behind_a_content_digest() -> None:
    calls = Calls()
    parity = calls.inline(
        "parity", lambda inputs: {"value": inputs["items"][0] % 2}, inputs=[many("items")], content_digest=True
    )
    async with bench(ticker(calls), parity, calls.total()) as b:
        b.open(graph({"t": "tick", "p": "parity", "end": "total"}, "t.value -> p.items", "p.value -> end.items"))

        assert [(await b.outputs("end"))["value"] for _ in range(4)] == [2, 1, 2, 1]
        assert calls.count("t") == 4
        assert calls.count("end") == 2


async def test_two_demands_at_once_do_not_share_it() -> None:
    door = Door()

    async def act(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        await door.wait()
        return {"value": door.entries}

    async with bench(make_type("act", act, effect="effect")) as b:
        b.open(graph({"a": "act"}))
        first, second = b.start("a"), b.start("a")
        await door.reached.wait()
        door.opened.set()

        assert (await b.sink.answer(first)).outputs is not None
        assert (await b.sink.answer(second)).outputs is not None
        assert door.entries == 2


async def test_a_sampler_without_a_seed_is_given_one_and_keeps_it() -> None:
    calls = Calls()
    async with bench(sampler(calls)) as b:
        b.open(graph({"s": "sample"}))

        seeds = [(await b.outputs("s"))["value"] for _ in range(3)]

        assert type(seeds[0]) is int
        assert 0 <= seeds[0] < 2**31
        assert len(set(seeds)) == 1
        assert calls == ["s"]


async def test_fresh_draws_a_new_seed_which_then_stays() -> None:
    calls = Calls()
    async with bench(sampler(calls)) as b:
        b.open(graph({"s": "sample"}))
        before = await b.outputs("s")

        drawn = await b.outputs("s", fresh=True)

        assert drawn != before
        assert await b.outputs("s") == drawn
        assert await b.outputs("s", fresh=True) not in (before, drawn)
        assert len(calls) == 3


async def test_fresh_leaves_samplers_that_the_demand_does_not_need_alone() -> None:
    calls = Calls()
    async with bench(sampler(calls)) as b:
        b.open(graph({"s": "sample", "other": "sample"}))
        kept = await b.outputs("other")
        await b.outputs("s", fresh=True)

        assert await b.outputs("other") == kept
        assert calls.count("other") == 1


async def test_two_samplers_and_two_sessions_have_seeds_of_their_own() -> None:
    async with bench(sampler(Calls())) as b:
        b.open(graph({"s": "sample", "t": "sample"}), session=1)
        b.open(graph({"s": "sample"}), session=2)

        drawn = [await b.outputs("s"), await b.outputs("t"), await b.outputs("s", session=2)]

        assert len({each["value"] for each in drawn}) == 3


@pytest.mark.parametrize("way", ["data", "edge", "demand"])
async def test_a_seed_that_was_given_wins_over_fresh(way: str) -> None:
    calls = Calls()
    async with bench(calls.source(), sampler(calls)) as b:
        data = {"seed": 42} if way == "data" else {}
        edges = ["s.value -> d.seed"] if way == "edge" else []
        b.open(graph({"s": ("source", {"x": 42}), "d": ("sample", data)}, *edges))
        inputs = {"d": {"seed": 42}} if way == "demand" else {}

        assert await b.outputs("d", inputs=inputs, fresh=True) == {"value": 42}
        assert await b.outputs("d", inputs=inputs, fresh=True) == {"value": 42}
        assert calls.count("d") == 1


async def test_what_hangs_on_a_sampler_follows_its_seed() -> None:
    calls = Calls()
    async with bench(sampler(calls), calls.total()) as b:
        b.open(graph({"s": "sample", "t": "total"}, "s.value -> t.items"))

        first, same, other = await b.outputs("t"), await b.outputs("t"), await b.outputs("t", fresh=True)

        assert first == same != other
        assert calls.count("t") == 2
