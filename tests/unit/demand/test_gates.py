"""Only the branch that a gate takes is demanded; what lies behind the other is skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.evaluation import Calls, bench, graph, make_type, many

from graphport.demand.memo import Memo

if TYPE_CHECKING:
    from graphport.contracts.node import NodeType

pytestmark = pytest.mark.anyio


def parts(calls: Calls) -> list[NodeType]:
    return [
        calls.source(),
        calls.inline("pair", lambda inputs: {"value": [inputs["a"], inputs["b"]]}, inputs=["a", "b"]),
        calls.inline("listed", lambda inputs: {"value": inputs["items"]}, inputs=[many("items")]),
    ]


def fork(*, condition: bool) -> dict[str, Any]:
    """`yes` and `no` hang on a gate, each with another input of its own; `both` collects them."""
    return graph(
        {
            "c": ("source", {"x": condition}),
            "v": ("source", {"x": "v"}),
            "gate": "conditional",
            "other-yes": ("source", {"x": 1}),
            "other-no": ("source", {"x": 2}),
            "yes": "pair",
            "no": "pair",
            "both": "listed",
        },
        "c.value -> gate.condition",
        "v.value -> gate.value",
        "gate.true_out -> yes.a",
        "other-yes.value -> yes.b",
        "gate.false_out -> no.a",
        "other-no.value -> no.b",
        "yes.value -> both.items",
        "no.value -> both.items",
    )


@pytest.mark.parametrize(("condition", "taken", "left"), [(True, "yes", "no"), (False, "no", "yes")])
async def test_only_the_taken_branch_is_demanded(condition: bool, taken: str, left: str) -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(fork(condition=condition))

        outputs = await b.outputs("both")

        assert outputs == {"value": [["v", 1 if condition else 2]]}
        assert taken in calls
        assert left not in calls
        assert f"other-{left}" not in calls


async def test_a_skipped_target_completes_with_nothing() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(fork(condition=True))

        answer = await b.demand("no")

        assert answer.outputs == {}
        assert answer.meta["skipped"] is True
        assert set(calls) == {"c", "v"}


async def test_what_hangs_on_a_skipped_node_is_skipped_too() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        loaded = fork(condition=True)
        loaded["nodes"].append({"id": "far", "type": "pair", "data": {"b": 1}})
        loaded["edges"].append({"source": "no", "source_handle": "value", "target": "far", "target_handle": "a"})
        b.open(loaded)

        answer = await b.demand("far")

        assert (answer.outputs, answer.meta["skipped"]) == ({}, True)


async def test_a_node_all_of_whose_edges_into_a_list_are_dead_is_skipped() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(
            graph(
                {"gate": ("conditional", {"condition": True, "value": 1}), "end": "listed"},
                "gate.false_out -> end.items",
            )
        )

        answer = await b.demand("end")

        assert (answer.outputs, answer.meta["skipped"]) == ({}, True)
        assert not calls


async def test_a_dead_edge_into_a_single_port_skips_whatever_else_is_alive() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(
            graph(
                {
                    "gate": ("conditional", {"condition": True, "value": 1}),
                    "live": ("source", {"x": 1}),
                    "end": "pair",
                },
                "live.value -> end.a",
                "gate.false_out -> end.b",
            )
        )

        answer = await b.demand("end")

        assert (answer.outputs, answer.meta["skipped"]) == ({}, True)
        assert "live" not in calls, "its other input is never demanded"


@pytest.mark.parametrize(("condition", "outputs"), [(True, ("v", None)), (False, (None, "v"))])
async def test_a_demanded_gate_completes_with_null_on_its_dead_port(condition: bool, outputs: tuple[Any, Any]) -> None:
    async with bench(*parts(Calls())) as b:
        b.open(fork(condition=condition))

        cold, warm = await b.demand("gate"), await b.demand("gate")

        assert cold.outputs == warm.outputs == {"true_out": outputs[0], "false_out": outputs[1]}
        assert not cold.meta["skipped"]
        assert warm.meta["cached"]


async def test_a_gate_that_is_known_already_still_guards_its_branches() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(fork(condition=True))
        await b.outputs("gate")
        calls.clear()

        assert await b.outputs("yes") == {"value": ["v", 1]}
        assert (await b.demand("no")).meta["skipped"]
        assert set(calls) == {"other-yes", "yes"}


async def test_a_warm_fork_runs_nothing() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(fork(condition=False))
        await b.outputs("both")
        calls.clear()

        answer = await b.demand("both")

        assert answer.outputs == {"value": [["v", 2]]}
        assert not calls
        assert (answer.meta["cached"], answer.meta["ran"]) == (True, 0)


async def test_the_demand_may_turn_the_gate() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(fork(condition=False))
        await b.outputs("both")
        calls.clear()

        outputs = await b.outputs("both", inputs={"gate": {"condition": True}})

        assert outputs == {"value": [["v", 1]]}
        assert "c" not in calls
        assert "no" not in calls


async def test_an_input_of_the_demand_revives_a_node_behind_a_dead_port() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(fork(condition=True))

        outputs = await b.outputs("no", inputs={"no": {"a": "given"}})

        assert outputs == {"value": ["given", 2]}
        assert "gate" not in calls
        assert "c" not in calls


async def test_a_list_given_by_the_demand_leaves_dead_edges_of_other_lists_out() -> None:
    calls = Calls()
    two = calls.inline("two", lambda inputs: {"value": [inputs["a"], inputs["b"]]}, inputs=[many("a"), many("b")])
    async with bench(*parts(calls), two) as b:
        b.open(
            graph(
                {
                    "live": ("source", {"x": 1}),
                    "gate": ("conditional", {"condition": True, "value": 1}),
                    "t": "two",
                    "end": "pair",
                },
                "live.value -> t.a",
                "gate.false_out -> t.b",
                "t.value -> end.a",
            )
        )

        assert await b.outputs("end") == {"value": [[[1], []], None]}
        answer = await b.demand("end", inputs={"t": {"a": [5]}})

        assert answer.error is None
        assert answer.meta["skipped"], "all of its edges are dead"


async def test_a_gate_behind_a_gate_is_not_reached() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(
            graph(
                {
                    "outer": ("conditional", {"condition": False, "value": True}),
                    "v": ("source", {"x": "v"}),
                    "inner": "conditional",
                    "a": "pair",
                    "d": "pair",
                    "end": "listed",
                },
                "outer.true_out -> inner.condition",
                "v.value -> inner.value",
                "inner.true_out -> a.a",
                "outer.false_out -> d.a",
                "a.value -> end.items",
                "d.value -> end.items",
            )
        )

        assert await b.outputs("end") == {"value": [[True, None]]}
        assert calls == ["d", "end"]
        assert (await b.demand("inner")).outputs == {}


@pytest.mark.parametrize("execution", ["inline", "async", "thread"])
async def test_a_gate_may_run_in_any_way(execution: str) -> None:
    calls = Calls()

    def route(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        return {inputs["to"]: 1}

    async def route_later(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        return {inputs["to"]: 1}

    kind = make_type(
        "route",
        route_later if execution == "async" else route,
        inputs=["to"],
        outputs=["x", "y", "z"],
        gate=True,
        execution=execution,
    )
    async with bench(*parts(calls), kind) as b:
        b.open(
            graph(
                {"r": ("route", {"to": "y"}), "x": "pair", "y": "pair", "end": "listed"},
                "r.x -> x.a",
                "r.y -> y.a",
                "x.value -> end.items",
                "y.value -> end.items",
            )
        )

        assert await b.outputs("end") == {"value": [[1, None]]}
        assert await b.outputs("r") == {"x": None, "y": 1, "z": None}
        assert calls == ["y", "end"]


async def test_a_gate_must_take_a_branch() -> None:
    async with bench(make_type("route", lambda _i, _c: {}, outputs=["x", "y"], gate=True)) as b:
        b.open(graph({"r": "route"}))

        assert await b.fails("r") == "missing_output"


async def test_a_gate_that_was_evicted_decides_anew() -> None:
    calls = Calls()
    async with bench(*parts(calls), memo=Memo(max_entries=1)) as b:
        b.open(fork(condition=True))

        assert await b.outputs("both") == {"value": [["v", 1]]}
        assert await b.outputs("both", inputs={"v": {"x": "w"}}) == {"value": [["w", 1]]}
        assert "no" not in calls


async def test_a_list_port_whose_edges_are_all_dead_is_empty_whatever_the_data_says() -> None:
    calls = Calls()
    gate = make_type("gate", lambda _inputs, _ctx: {"no": 1}, outputs=["yes", "no"], gate=True)
    both = calls.inline("both", lambda inputs: {"value": inputs["items"]}, inputs=[many("items"), many("others")])
    async with bench(gate, both) as b:
        nodes: dict[str, str | tuple[str, dict[str, Any]]] = {
            "g": "gate",
            "one": ("both", {"items": [1]}),
            "two": ("both", {"items": [2]}),
        }
        edges = [
            f"g.{out} -> {node}.{port}" for node in ("one", "two") for out, port in (("yes", "items"), ("no", "others"))
        ]
        b.open(graph(nodes, *edges))

        assert await b.outputs(["one", "two"]) == {"one": {"value": []}, "two": {"value": []}}
