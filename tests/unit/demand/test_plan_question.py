"""What `plan` answers: states, costs, and that asking leaves no trace."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.evaluation import Bench, Calls, Door, bench, graph, make_type

from graphport.core.errors import GraphportError
from graphport.demand.questions.planned import planned
from graphport.graph.plan import made

pytestmark = pytest.mark.anyio


def plan(b: Bench, node: Any, **options: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"inputs": {}, "fresh": False, "limit": 1_000, **options}
    return made(planned(b.evaluator, b.evaluator.sessions[1], node, **settings))


def states(answer: dict[str, Any]) -> dict[str, str]:
    return {row["node"]: row["state"] for row in answer["nodes"]}


async def test_states_types_and_costs() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total(), calls.total("more", effect="volatile")) as b:
        nodes: dict[str, Any] = {"a": ("source", {"x": 1}), "b": ("source", {"x": 2}), "t": "total", "v": "more"}
        b.open(graph(nodes, "a.value -> t.items", "b.value -> t.items", "t.value -> v.items"))
        await b.outputs("a")
        first = plan(b, "v")
        await b.outputs("v")
        second = plan(b, "v")

    assert states(first) == {"a": "cached", "b": "run", "t": "run", "v": "run"}
    assert first["counts"] == {"run": 3, "cached": 1, "skipped": 0, "depends": 0}
    assert (first["unmeasured"], first["estimated_us"] > 0) == (2, True)
    assert states(second) == {"t": "cached", "v": "run"}
    assert second["nodes"][1] == {
        "node": "v",
        "type": "more",
        "state": "run",
        "effect": "volatile",
        "execution": "inline",
        "streams": [],
    }
    assert (second["unmeasured"], second["revision"]) == (0, 1)


async def test_what_lies_behind_a_gate_depends_until_the_gate_is_known() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        nodes: dict[str, Any] = {
            "flag": ("source", {"x": True}),
            "gate": "conditional",
            "side": ("source", {"x": 5}),
            "yes": "total",
            "no": "total",
        }
        b.open(
            graph(
                nodes,
                "flag.value -> gate.condition",
                "gate.true_out -> yes.items",
                "side.value -> yes.items",
                "gate.false_out -> no.items",
            )
        )
        before = plan(b, ["yes", "no"])
        await b.outputs("gate")
        after = plan(b, ["yes", "no"])

    assert states(before) == {"flag": "run", "gate": "run", "side": "depends", "yes": "depends", "no": "depends"}
    assert states(after) == {"gate": "cached", "side": "run", "yes": "depends", "no": "skipped"}


async def test_fresh_seeds_are_thought_of_and_not_drawn() -> None:
    calls = Calls()
    seeded = calls.inline("dice", lambda inputs: {"value": inputs["seed"]}, inputs=["seed"], effect="seeded")
    async with bench(seeded, calls.total()) as b:
        b.open(graph({"d": "dice", "t": "total"}, "d.value -> t.items"))
        rolled = await b.outputs("t")
        assert states(plan(b, "t", fresh=True)) == {"d": "run", "t": "run"}
        assert states(plan(b, "t")) == {"t": "cached"}
        assert await b.outputs("t") == rolled
        assert calls == ["d", "t"]
        fresh = plan(b, "t", fresh=True)
        assert await b.outputs("t", fresh=True) != rolled
        assert states(fresh) == {"d": "run", "t": "run"}
        assert states(plan(b, "t")) == {"t": "cached"}


async def test_inputs_of_the_demand_count_and_wrong_ones_are_refused() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(graph({"a": ("source", {"x": 1}), "t": "total"}, "a.value -> t.items"))
        await b.outputs("t", inputs={"a": {"x": 2}})
        assert states(plan(b, "t", inputs={"a": {"x": 2}})) == {"t": "cached"}
        assert states(plan(b, "t", inputs={"t": {"items": [1]}})) == {"t": "run"}
        for wrong, code in ((("u", {}), "unknown_node"), (("t", {"a": {"y": 1}}), "invalid_input")):
            with pytest.raises(GraphportError) as caught:
                plan(b, wrong[0], inputs=wrong[1])
            assert caught.value.code == code


async def test_a_listing_is_cut_and_its_counts_are_not() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        sources = {f"s{place}": ("source", {"x": place}) for place in range(1_500)}
        b.open(graph({**sources, "t": "total"}, *(f"{name}.value -> t.items" for name in sources)))
        question = planned(b.evaluator, b.evaluator.sessions[1], "*", inputs={}, fresh=False, limit=10)
        pauses = 0
        answer: dict[str, Any] = {}
        while not answer:
            try:
                next(question)
                pauses += 1
            except StopIteration as done:
                answer = done.value

    assert (len(answer["nodes"]), answer["counts"]["run"], answer["node"]) == (10, 1_501, "*")
    assert pauses >= 10


async def test_an_execution_under_way_is_said_to_be() -> None:
    door = Door()

    async def wait(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        await door.wait()
        return {"value": 1}

    async with bench(make_type("slow", wait)) as b:
        b.open(graph({"n": "slow"}))
        demand = b.start("n")
        await door.reached.wait()
        (row,) = plan(b, "n")["nodes"]
        door.opened.set()
        await b.sink.answer(demand)

    assert (row["state"], row["under_way"]) == ("run", True)
