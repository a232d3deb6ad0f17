"""Edits of graphs that hold graphs, and graphs that nodes bring themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.compounds import held, inner, with_graphs
from tests.support.evaluation import Calls, bench, graph, make_type

from graphport.contracts.node import PortSpec
from graphport.core.errors import GraphInvalid

if TYPE_CHECKING:
    from tests.support.evaluation import Bench

    from graphport.contracts.node import NodeType
    from graphport.graph.recompile import Recompiled

pytestmark = pytest.mark.anyio


def parts(calls: Calls) -> list[NodeType]:
    def fail(inputs: dict[str, Any]) -> dict[str, Any]:
        if inputs["x"] < 0:
            raise ValueError("negative")
        return {"value": inputs["x"]}

    return [
        calls.source(),
        calls.inline("add", lambda i: {"value": i["a"] + i["b"]}, inputs=["a", PortSpec(name="b", default=1)]),
        calls.inline("fail", fail, inputs=["x"]),
    ]


def successor() -> dict[str, Any]:
    return inner({"add": "add"}, "in-x.value -> add.a", inputs={"x": {}}, outputs={"y": "add.value"})


async def test_a_node_evaluates_a_graph_of_its_own() -> None:
    calls = Calls()

    async def twice(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        raw = successor()
        first = await ctx.evaluate(raw, {"x": inputs["x"]}, label="first")
        second = await ctx.evaluate(raw, {"x": first["y"]})
        nodes = await ctx.evaluate(raw, {"x": 100}, targets=["add", "in-x"])
        return {"value": [first, second, nodes]}

    async with bench(make_type("twice", twice, inputs=["x"]), *parts(calls)) as b:
        b.open(graph({"t": ("twice", {"x": 1})}))

        assert await b.outputs("t") == {"value": [{"y": 2}, {"y": 3}, {"add": {"value": 101}, "in-x": {"value": 100}}]}


@pytest.mark.parametrize(
    ("raw", "options", "code"),
    [
        (graph({"a": "no-such-type"}), {}, "invalid_graph"),
        (successor(), {"inputs": {"z": 1}}, "unknown_node"),
        (successor(), {"targets": ["nobody"]}, "unknown_node"),
    ],
)
async def test_a_graph_that_a_node_brings_is_checked(raw: dict[str, Any], options: dict[str, Any], code: str) -> None:
    async def run(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        return {"value": await ctx.evaluate(raw, **options)}

    async with bench(make_type("brings", run), *parts(Calls())) as b:
        b.open(graph({"t": "brings"}))

        assert await b.fails("t") == code


def edit(b: Bench, *edits: dict[str, Any]) -> Recompiled:
    """Edit the graph of session 1."""
    found = b.evaluator.edit(b.evaluator.sessions[1].graph, list(edits))
    b.evaluator.update(1, found)
    return found


async def test_edits_of_a_graph_that_holds_graphs() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(
            with_graphs(
                graph({"a": ("source", {"x": 1}), "c": held("g"), "d": "add"}, "a.value -> c.x", "c.y -> d.a"),
                g=successor(),
            )
        )
        assert await b.outputs("d") == {"value": 3}
        before: Any = b.evaluator.sessions[1].graph.nodes[1].type.inner

        changed = edit(b, {"set": "a", "data": {"x": 5}})
        after: Any = b.evaluator.sessions[1].graph.nodes[1].type.inner

        assert changed.dirty == ["a", "c", "d"]
        assert after.compiled is before.compiled, "the inner graph is as it was"
        assert await b.outputs("d") == {"value": 7}

        other = inner({"add": ("add", {"b": 100})}, "in-x.value -> add.a", inputs={"x": {}}, outputs={"y": "add.value"})
        changed = edit(b, {"put": {"id": "c", "type": "graph", "data": {"graph": other}}})

        assert changed.dirty == ["c", "d"]
        assert await b.outputs("d") == {"value": 106}


async def test_an_edit_that_does_not_fit_the_ports_of_an_inner_graph_is_refused() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"c": held(successor(), x=1), "d": "add"}, "c.y -> d.a"))
        without = inner({"add": "add"}, "in-x.value -> add.a", inputs={"x": {}}, outputs={"z": "add.value"})

        with pytest.raises(GraphInvalid) as caught:
            edit(b, {"put": {"id": "c", "type": "graph", "data": {"graph": without, "x": 1}}})

        assert [fault["code"] for fault in (caught.value.details or {})["faults"]] == ["dangling_edge"]
        assert await b.outputs("d") == {"value": 3}


async def test_a_compound_is_put_into_a_plain_graph() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"a": ("source", {"x": 1})}))
        edge = {"source": "a", "source_handle": "value", "target": "c", "target_handle": "x"}
        edit(b, {"put": {"id": "c", "type": "graph", "data": {"graph": successor()}}}, {"connect": edge})

        assert await b.outputs("c") == {"y": 2}
