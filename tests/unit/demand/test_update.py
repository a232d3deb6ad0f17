"""What an edit makes of demands: who sees it, and what runs again."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.support.evaluation import Bench, Calls, Door, bench, graph, make_type, many

from graphport.contracts.node import PortSpec

pytestmark = pytest.mark.anyio


def update(made: Bench, *edits: dict[str, Any], session: int = 1) -> list[str]:
    """Edit a session; returns the dirty nodes."""
    edited = made.evaluator.edit(made.evaluator.session(session).graph, edits)
    made.evaluator.update(session, edited)
    return edited.dirty


def diamond() -> dict[str, Any]:
    return graph(
        {"a": ("source", {"x": 1}), "b": ("source", {"x": 2}), "left": "total", "right": "total", "end": "total"},
        "a.value -> left.items",
        "b.value -> right.items",
        "left.value -> end.items",
        "right.value -> end.items",
    )


async def test_only_what_lies_below_an_edit_runs_again() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(diamond())
        assert await made.outputs("end") == {"value": 6}
        calls.clear()

        assert update(made, {"set": "a", "data": {"x": 5}}) == ["a", "left", "end"]
        answer = await made.demand("end")

        assert answer.outputs == {"value": 10}
        assert answer.meta["revision"] == 2
        assert sorted(calls) == ["a", "end", "left"]


async def test_an_edit_beside_a_node_leaves_it_cached() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(diamond())
        await made.outputs("right")
        calls.clear()

        update(made, {"set": "a", "data": {"x": 5}})
        answer = await made.demand("right")

        assert answer.meta["cached"]
        assert answer.meta["revision"] == 2
        assert calls == []


async def test_an_edit_that_is_taken_back_finds_the_cache() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(diamond())
        await made.outputs("end")
        update(made, {"set": "a", "data": {"x": 5}})
        calls.clear()

        update(made, {"set": "a", "data": {"x": 1}})

        assert await made.outputs("end") == {"value": 6}
        assert calls == []


async def test_an_equal_result_ends_the_running_again() -> None:
    calls = Calls()
    half = calls.inline("half", lambda inputs: {"value": inputs["x"] // 2}, inputs=["x"], content_digest=True)
    async with bench(half, calls.total()) as made:
        made.open(graph({"half": ("half", {"x": 4}), "end": "total"}, "half.value -> end.items"))
        await made.outputs("end")
        calls.clear()

        assert update(made, {"set": "half", "data": {"x": 5}}) == ["half", "end"]
        await made.outputs("end")

        assert calls == ["half"]


async def test_a_setting_dirties_those_that_ask_for_it_and_have_nothing_better() -> None:
    calls = Calls()
    asking = calls.inline("asking", lambda inputs: {"value": inputs["x"]}, inputs=[PortSpec(name="x", setting="start")])
    async with bench(asking, calls.source()) as made:
        made.open(
            graph(
                {"asks": "asking", "has": ("asking", {"x": 1}), "fed": "asking", "feeds": ("source", {"x": 2})},
                "feeds.value -> fed.x",
                start=7,
            )
        )
        await made.outputs("*")
        calls.clear()

        assert update(made, {"settings": {"start": 8}}) == ["asks"]
        assert (await made.outputs("*"))["asks"] == {"value": 8}
        assert calls == ["asks"]


async def test_a_demand_under_way_goes_on_with_the_graph_it_saw() -> None:
    door = Door()

    async def wait(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await door.wait()
        return {"value": inputs["x"]}

    echo = make_type("echo", lambda inputs, _: {"value": inputs["x"]}, inputs=["x"])
    async with bench(make_type("wait", wait, inputs=["x"]), echo) as made:
        made.open(graph({"a": ("wait", {"x": 1}), "b": "echo"}, "a.value -> b.x"))
        before = made.start("b")
        await door.reached.wait()

        update(made, {"disconnect": {"source": "a", "source_handle": "value", "target": "b", "target_handle": "x"}})
        after = await made.demand("b")
        door.opened.set()
        answer = await made.sink.answer(before)

        assert (answer.outputs, answer.meta["revision"]) == ({"value": 1}, 1)
        assert (after.outputs, after.meta["revision"]) == ({"value": None}, 2)


async def test_inputs_of_a_demand_outrank_an_edit() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(diamond())
        given = {"a": {"x": 10}}
        assert await made.outputs("end", inputs=given) == {"value": 15}

        update(made, {"set": "a", "data": {"x": 5}}, {"set": "b", "data": {"x": 3}})

        assert await made.outputs("end", inputs=given) == {"value": 16}
        assert await made.outputs("end") == {"value": 11}


async def test_inputs_of_a_demand_are_held_against_the_edited_graph() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(diamond())
        update(made, {"remove": "b"}, {"put": {"id": "c", "type": "source", "data": {"x": 3}}})

        assert await made.fails("end", inputs={"b": {"x": 1}}) == "unknown_node"
        assert await made.fails("b") == "unknown_node"
        assert await made.outputs("c", inputs={"c": {"x": 4}}) == {"value": 4}


async def test_all_sinks_are_those_of_the_edited_graph() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(diamond())
        assert set(await made.outputs("*")) == {"end"}

        update(made, {"remove": "end"})

        assert set(await made.outputs("*")) == {"left", "right"}


async def test_plans_and_keys_that_still_hold_are_kept() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(diamond())
        await made.outputs("right")
        plan = made.evaluator.session(1).graph.plan_of("right")
        assert plan is not None
        keys = plan.keys

        update(made, {"set": "a", "data": {"x": 5}}, {"put": {"id": "c", "type": "source"}})

        assert made.evaluator.session(1).graph.plan_of("right") is plan
        assert plan.keys is keys
        assert keys is not None


async def test_sessions_of_one_graph_are_edited_apart() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(diamond())
        made.open(diamond(), session=2)

        update(made, {"set": "a", "data": {"x": 5}})

        assert await made.outputs("end", session=2) == {"value": 6}
        assert await made.outputs("end") == {"value": 10}


async def test_a_chain_is_edited_without_compiling_it_again() -> None:
    add = make_type("add", lambda inputs, _: {"value": sum(inputs["items"])}, inputs=[many("items")])
    names = [f"n{place}" for place in range(10_000)]
    chain = {
        "nodes": [{"id": name, "type": "add", "data": {"items": [1]}} for name in names],
        "edges": [
            {"source": source, "source_handle": "value", "target": target, "target_handle": "items"}
            for source, target in itertools.pairwise(names)
        ],
    }
    async with bench(add) as made:
        graph_before = made.evaluator.load(chain)
        made.evaluator.add(1, graph_before)

        assert len(update(made, {"set": "n0", "data": {"items": [2]}})) == 10_000
        assert update(made, {"set": "n9999", "data": {"note": 1}}) == []
        assert update(made, {"put": {"id": "new", "type": "add"}}) == ["new"]

        after = made.evaluator.session(1).graph
        changed = [new.id for new, old in zip(after.nodes, graph_before.nodes, strict=False) if new is not old]
        assert changed == ["n0", "n9999"]
