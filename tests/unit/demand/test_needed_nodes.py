"""A demand runs what its node needs, each once, and nothing else, however deep the graph is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.evaluation import Calls, bench, graph, make_type, many

pytestmark = pytest.mark.anyio


def chain(length: int, kind: str = "total") -> dict[str, Any]:
    nodes: dict[str, Any] = {"n0": ("source", {"x": 0})}
    nodes |= {f"n{place}": kind for place in range(1, length)}
    return graph(nodes, *(f"n{place - 1}.value -> n{place}.items" for place in range(1, length)))


async def test_a_node_without_sources_is_answered() -> None:
    calls = Calls()
    async with bench(calls.source()) as b:
        b.open(graph({"a": ("source", {"x": 7})}))

        answer = await b.demand("a")

        assert answer.outputs == {"value": 7}
        assert answer.node == "a"
        assert answer.meta["ran"] == 1
        assert answer.meta["revision"] == 1
        assert (answer.meta["cached"], answer.meta["skipped"]) == (False, False)
        assert answer.meta["us"] >= 0


async def test_an_inline_graph_is_answered_within_the_turn_that_asked() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(chain(5))

        answer = b.sink.get(b.start("n4"))

        assert answer is not None
        assert answer.outputs == {"value": 4}


async def test_a_diamond_runs_each_node_once() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(
            graph(
                {"top": ("source", {"x": 1}), "left": "total", "right": "total", "end": "total"},
                "top.value -> left.items",
                "top.value -> right.items",
                "left.value -> end.items",
                "right.value -> end.items",
            )
        )

        assert await b.outputs("end") == {"value": 5}
        assert calls.count("top") == 1
        assert calls.count("end") == 1
        assert calls[0] == "top"
        assert calls[-1] == "end"


async def test_what_the_node_does_not_need_is_not_run() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(chain(10))

        await b.outputs("n3")

        assert calls == ["n0", "n1", "n2", "n3"]


@pytest.mark.parametrize("execution", ["inline", "async"])
async def test_a_chain_of_20000_nodes_needs_no_recursion(execution: str) -> None:
    calls = Calls()

    async def add(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        return {"value": sum(inputs["items"]) + 1}

    kind = calls.total() if execution == "inline" else make_type("total", add, inputs=[many("items")])
    async with bench(calls.source(), kind) as b:
        b.open(chain(20_000))

        answer = await b.demand("n19999")

        assert answer.outputs == {"value": 19_999}
        assert answer.meta["ran"] == 20_000


async def test_a_chain_behind_content_digests_needs_no_recursion() -> None:
    calls = Calls()
    async with bench(calls.source(content_digest=True), calls.total(content_digest=True)) as b:
        b.open(chain(20_000))

        assert await b.outputs("n19999") == {"value": 19_999}
        assert len(calls) == 20_000


async def test_fifty_full_layers_of_twenty_run_a_thousand_nodes() -> None:
    calls = Calls()
    nodes: dict[str, Any] = {f"0-{column}": ("source", {"x": column}) for column in range(20)}
    edges = []
    for row in range(1, 50):
        for column in range(20):
            nodes[f"{row}-{column}"] = "parity"
            edges += [f"{row - 1}-{other}.value -> {row}-{column}.items" for other in range(20)]
    parity = calls.inline("parity", lambda inputs: {"value": sum(inputs["items"]) % 97}, inputs=[many("items")])
    async with bench(calls.source(), parity) as b:
        b.open(graph(nodes, *edges))

        await b.outputs("49-0")

        assert len(calls) == 981
        assert len(set(calls)) == 981


async def test_an_edge_from_one_node_to_two_ports_counts_once() -> None:
    calls = Calls()
    pair = calls.inline("pair", lambda inputs: {"value": [inputs["a"], inputs["b"]]}, inputs=["a", "b"])
    async with bench(calls.source(), pair) as b:
        b.open(graph({"s": ("source", {"x": 1}), "p": "pair"}, "s.value -> p.a", "s.value -> p.b"))

        assert await b.outputs("p") == {"value": [1, 1]}
        assert calls == ["s", "p"]


async def test_a_port_that_takes_many_receives_them_in_the_order_of_the_edges() -> None:
    calls = Calls()
    listed = calls.inline("listed", lambda inputs: {"value": inputs["items"]}, inputs=[many("items")])
    async with bench(calls.source(), listed) as b:
        nodes: dict[str, Any] = {f"s{number}": ("source", {"x": number}) for number in range(4)}
        b.open(graph(nodes | {"l": "listed"}, *(f"s{number}.value -> l.items" for number in (2, 0, 3, 1))))

        assert await b.outputs("l") == {"value": [2, 0, 3, 1]}


async def test_two_demands_at_once_have_two_answers() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(chain(4))
        first, second = b.start("n1"), b.start("n3")

        assert (await b.sink.answer(second)).outputs == {"value": 3}
        assert (await b.sink.answer(first)).outputs == {"value": 1}
        assert len(calls) == 4
