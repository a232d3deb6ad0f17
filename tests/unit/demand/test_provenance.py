"""What a demand is told of where its outputs come from."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.evaluation import Calls, bench, graph, make_type, many

from graphport.contracts.node import PortSpec

pytestmark = pytest.mark.anyio


def parts(calls: Calls) -> list[Any]:
    ports = [PortSpec(name="a"), PortSpec(name="b", setting="b"), PortSpec(name="c", default=1), PortSpec(name="d")]
    return [
        calls.source(),
        calls.inline("mixed", lambda i: {"value": [i["a"], i["b"], i["c"], i["d"]]}, inputs=ports, version="7"),
        calls.inline("listed", lambda i: {"value": i["items"]}, inputs=[many("items")]),
    ]


async def test_each_input_says_who_gave_it() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"s": ("source", {"x": 4}), "m": ("mixed", {"d": 9})}, "s.value -> m.a", b=2))
        answer = await b.demand("m", provenance=True, inputs={"s": {"x": 5}})
        nodes = answer.meta["provenance"]["nodes"]

        assert list(nodes) == ["m", "s"]
        assert (nodes["m"]["type"], nodes["m"]["version"], nodes["m"]["effect"]) == ("mixed", "7", "pure")
        inputs = nodes["m"]["inputs"]
        assert inputs["a"] == {"from": "edge", "node": "s", "port": "value", "key": nodes["s"]["key"]}
        assert [inputs[name]["from"] for name in "bcd"] == ["setting", "default", "data"]
        assert nodes["s"]["inputs"]["x"]["from"] == "demand"
        assert len(bytes.fromhex(nodes["m"]["code"])) == 16
        assert answer.events == ()


async def test_a_cached_output_still_says_where_it_came_from() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"s": ("source", {"x": 4}), "m": "mixed"}, "s.value -> m.a"))
        first = await b.demand("m", provenance=True)
        second = await b.demand("m", provenance=True)
        nodes, again = first.meta["provenance"]["nodes"], second.meta["provenance"]["nodes"]

        assert [entry["cached"] for entry in nodes.values()] == [False, False]
        assert [entry["cached"] for entry in again.values()] == [True, True]
        assert {name: entry["key"] for name, entry in nodes.items()} == {
            name: entry["key"] for name, entry in again.items()
        }
        assert nodes["m"]["key"] is not None


async def test_equal_values_have_equal_digests_and_others_have_others() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"s": ("source", {"x": [1]})}))
        digests = [
            (await b.demand("s", provenance=True, inputs={"s": {"x": value}})).meta["provenance"]["nodes"]["s"][
                "inputs"
            ]["x"]["digest"]
            for value in ([1], [1], [2])
        ]

        assert digests[0] == digests[1] != digests[2]


async def test_what_the_caller_brings_along_comes_back_unchanged() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"s": ("source", {"x": 4})}))

        assert (await b.demand("s", provenance={"user": [1, {"a": None}]})).meta["provenance"]["caller"] == {
            "user": [1, {"a": None}]
        }
        assert "caller" not in (await b.demand("s", provenance=True)).meta["provenance"]
        assert (await b.demand("s", provenance={})).meta["provenance"]["caller"] == {}
        assert "provenance" not in (await b.demand("s")).meta


async def test_many_edges_gates_seeds_and_errors() -> None:
    def fail(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        raise ValueError("no")

    sample = make_type("sample", lambda i, c: {"value": i["seed"]}, inputs=["seed"], effect="seeded")
    async with bench(make_type("fail", fail), sample, *parts(Calls())) as b:
        nodes: dict[str, Any] = {
            "gate": ("conditional", {"condition": True, "value": 1}),
            "yes": "mixed",
            "no": "mixed",
            "bad": "fail",
            "told": "mixed",
            "seeded": "sample",
            "all": "listed",
        }
        edges = ["gate.true_out -> yes.a", "gate.false_out -> no.a", "bad.[error] -> told.a"]
        edges += [f"{name}.value -> all.items" for name in ("yes", "no", "told", "seeded")]
        b.open(graph(nodes, *edges))
        found = (await b.demand("all", provenance=True)).meta["provenance"]["nodes"]

        items = found["all"]["inputs"]["items"]
        assert [(edge["node"], edge.get("dead", False)) for edge in items] == [
            ("yes", False),
            ("no", True),
            ("told", False),
            ("seeded", False),
        ]
        assert "no" not in found
        assert found["bad"]["error"] == "node_failed"
        assert isinstance(found["seeded"]["seed"], int)


async def test_a_skipped_target_and_several_targets() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(
            graph(
                {"g": ("conditional", {"condition": True}), "no": "mixed", "s": ("source", {"x": 1})},
                "g.false_out -> no.a",
            )
        )
        one = (await b.demand("no", provenance=True)).meta["provenance"]["nodes"]
        both = (await b.demand(["s", "g"], provenance=True)).meta["provenance"]["nodes"]

        assert one["no"]["skipped"] is True
        assert set(both) == {"s", "g"}


async def test_with_a_trace_and_with_events() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"s": ("source", {"x": 1})}))
        quiet = await b.demand("s", provenance=True, trace=True)
        told = await b.demand("s", provenance=True, events=True)

        assert quiet.events == ()
        assert [event["event"] for _, event in told.events] == ["planned", "cached"]
        assert b.evaluator.traces.find(quiet.demand, 1) is not None


async def test_a_compound_is_one_node_of_a_provenance_and_its_nodes_are_steps_of_a_trace() -> None:
    from tests.support.compounds import held, inner

    async with bench(*parts(Calls())) as b:
        b.open(graph({"c": held(inner({"s": ("source", {"x": 1})}, outputs={"y": "s.value"}))}))
        answer = await b.demand("c", provenance=True, trace=True)

        assert list(answer.meta["provenance"]["nodes"]) == ["c"]
        trace = b.evaluator.traces.find(answer.demand, 1)
        assert trace is not None
        assert [step.node for step in trace.steps] == ["c/s", "c/out-y", "c"]
