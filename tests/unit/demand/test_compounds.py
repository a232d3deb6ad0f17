"""A node that holds a graph: its ports, its results, what is cached of it, and what is told of its nodes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.compounds import held, inner, with_graphs
from tests.support.evaluation import Calls, Door, bench, graph, make_type, streamed, turns, until

from graphport.contracts.node import PortSpec
from graphport.demand.memo import Memo

if TYPE_CHECKING:
    from graphport.contracts.node import NodeType

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


async def test_a_graph_is_a_node_with_the_ports_that_it_declares() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"a": ("source", {"x": 4}), "c": held(successor()), "d": "add"}, "a.value -> c.x", "c.y -> d.a"))

        assert await b.outputs("c") == {"y": 5}
        assert await b.outputs("d") == {"value": 6}


async def test_a_graph_by_name_is_shared_by_those_that_hold_it() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        outer = graph({"a": held("next", x=1), "b": held("next", x=1), "c": held("next", x=2)})
        b.open(with_graphs(outer, next=successor()))

        assert await b.outputs("*") == {"a": {"y": 2}, "b": {"y": 2}, "c": {"y": 3}}
        assert calls == ["add", "add"], "a and b hold one graph and are given equal inputs"


@pytest.mark.parametrize(("given", "expected"), [({}, 10), ({"x": 5}, 6), ({"x": None}, 10)])
async def test_defaults_of_the_declared_inputs_hold(given: dict[str, Any], expected: int) -> None:
    inside = inner({"add": "add"}, "in-x.value -> add.a", inputs={"x": {"default": 9}}, outputs={"y": "add.value"})
    async with bench(*parts(Calls())) as b:
        b.open(graph({"c": held(inside, **given)}))

        assert await b.outputs("c") == {"y": expected}


async def test_a_demand_gives_inputs_to_a_compound_like_to_any_node() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"c": held(successor(), x=1)}))

        assert await b.outputs("c", inputs={"c": {"x": 41}}) == {"y": 42}
        assert await b.fails("c", inputs={"c": {"z": 1}}) == "invalid_input"


async def test_inner_nodes_see_their_own_settings_and_then_the_outermost_ones() -> None:
    setting = make_type("setting", lambda i, c: {"value": i["s"]}, inputs=[PortSpec(name="s", setting="word")])
    inside = inner({"s": "setting"}, outputs={"y": "s.value"})
    own = inner({"s": "setting"}, outputs={"y": "s.value"}, word="own")
    async with bench(setting) as b:
        b.open(graph({"c": held(inside), "d": held(own)}, word="outer"))

        assert await b.outputs("*") == {"c": {"y": "outer"}, "d": {"y": "own"}}


async def test_a_result_is_cached_as_a_whole_and_in_its_parts() -> None:
    calls = Calls()
    inside = inner(
        {"one": "add", "two": "add"},
        "in-x.value -> one.a",
        "in-x.value -> two.a",
        "in-z.value -> two.b",
        inputs={"x": {}, "z": {}},
        outputs={"y": "one.value", "w": "two.value"},
    )
    async with bench(*parts(calls)) as b:
        b.open(graph({"c": held(inside, x=1, z=2)}))
        await b.outputs("c")
        again = await b.demand("c")
        await b.outputs("c", inputs={"c": {"z": 3}})

        assert again.meta["cached"] is True
        assert calls == ["one", "two", "two"], "what only hangs on x is not run again"


async def test_another_graph_with_the_same_nodes_finds_their_results() -> None:
    calls = Calls()
    longer = inner(
        {"add": "add", "more": "add"},
        "in-x.value -> add.a",
        "add.value -> more.a",
        inputs={"x": {}},
        outputs={"y": "more.value"},
    )
    async with bench(*parts(calls)) as b:
        b.open(graph({"c": held(successor(), x=1)}), session=1)
        b.open(graph({"c": held(longer, x=1)}), session=2)
        await b.outputs("c", session=1)

        assert await b.outputs("c", session=2) == {"y": 3}
        assert calls == ["add", "more"]


async def test_an_inner_graph_is_compiled_once_and_only_if_a_demand_comes_to_it() -> None:
    async with bench(*parts(Calls())) as b:
        session = b.evaluator.open(
            1,
            with_graphs(
                graph({"a": ("source", {"x": 1}), "c": held("g"), "d": held("g")}, "a.value -> c.x", "a.value -> d.x"),
                g=successor(),
            ),
        )
        definition: Any = session.graph.nodes[session.graph.index["c"]].type.inner
        await b.outputs("a")
        assert definition.compiled is None

        await b.outputs("c")
        first = definition.compiled
        await b.outputs("d")

        assert first is not None
        assert definition.compiled is first


async def test_a_failure_names_the_way_to_the_node() -> None:
    broken = inner({"bad": "fail"}, "in-x.value -> bad.x", inputs={"x": {}}, outputs={"y": "bad.value"})
    middle = inner({"m": held(broken)}, "in-x.value -> m.x", inputs={"x": {}}, outputs={"y": "m.y"})
    async with bench(*parts(Calls())) as b:
        b.open(graph({"c": held(middle, x=-1)}))
        answer = await b.demand("c")

        assert answer.code == "node_failed"
        assert answer.error is not None
        assert (answer.error.node_id, answer.error.exception_name) == ("c/m/bad", "ValueError")


async def test_one_failure_seen_through_two_compounds_has_a_path_for_each() -> None:
    door = Door()

    async def late(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await door.wait()
        raise ValueError("late")

    inside = inner({"bad": "late"}, outputs={"y": "bad.value"})
    # Their own inputs differ, so that they are two executions, of which the inner node is one.
    other = inner({"bad": "late", "s": ("source", {"x": 1})}, outputs={"y": "bad.value"})
    async with bench(make_type("late", late), *parts(Calls())) as b:
        b.open(graph({"c": held(inside), "d": held(other)}))
        first, second = b.start("c"), b.start("d")
        await turns()
        await door.reached.wait()
        door.opened.set()
        errors = [(await b.sink.answer(demand)).error for demand in (first, second)]

        assert [error.node_id for error in errors if error] == ["c/bad", "d/bad"]
        assert door.entries == 1


async def test_a_compound_routes_the_failure_of_an_inner_node() -> None:
    broken = inner({"bad": "fail"}, "in-x.value -> bad.x", inputs={"x": {}}, outputs={"y": "bad.value"})
    told = make_type("told", lambda i, c: {"value": i["e"]["node_id"]}, inputs=["e"])
    async with bench(told, *parts(Calls())) as b:
        b.open(graph({"c": held(broken, x=-1), "t": "told"}, "c.[error] -> t.e"))

        assert await b.outputs("t") == {"value": "c/bad"}


async def test_an_inner_output_behind_a_dead_port_is_dead_outside() -> None:
    forked = inner(
        {"gate": ("conditional", {"value": 7})},
        "in-x.value -> gate.condition",
        inputs={"x": {"type": "boolean"}},
        outputs={"yes": "gate.true_out", "no": "gate.false_out"},
    )
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(graph({"c": held(forked, x=True), "y": "add", "n": "add"}, "c.yes -> y.a", "c.no -> n.a"))

        assert await b.outputs("y") == {"value": 8}
        assert (await b.demand("n")).meta["skipped"] is True
        assert await b.outputs("c") == {"yes": 7, "no": None}


async def test_a_compound_all_of_whose_outputs_are_dead_skips_what_reads_it() -> None:
    forked = inner({"gate": ("conditional", {"condition": False})}, outputs={"yes": "gate.true_out"})
    async with bench(*parts(Calls())) as b:
        b.open(graph({"c": held(forked), "y": "add"}, "c.yes -> y.a"))

        assert (await b.demand("y")).meta["skipped"] is True
        assert await b.outputs("c") == {"yes": None}


async def test_streams_of_inner_nodes_are_passed_on_under_their_path_and_replayed() -> None:
    async def talk(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        for word in ("a", "b"):
            await ctx.stream("value", word)
            await asyncio.sleep(0)
        return {"value": "ab"}

    inside = inner({"t": "talk"}, outputs={"y": "t.value"})
    middle = inner({"m": held(inside)}, outputs={"y": "m.y"})
    async with bench(make_type("talk", talk, outputs=[streamed("value")])) as b:
        b.open(graph({"c": held(middle)}))
        first = await b.demand("c", stream=True)
        again = await b.demand("c", stream=True)
        one = await b.demand("c", stream=frozenset({"c/m/t"}))
        whole = await b.demand("c", stream=frozenset({"c"}))
        none = await b.demand("c", stream=frozenset({"t"}))

        assert first.text("c/m/t") == "ab"
        assert [answer.text("c/m/t") for answer in (again, one, whole, none)] == ["ab", "ab", "ab", ""]
        assert again.meta["cached"] is True


async def test_who_joins_late_is_given_what_inner_nodes_have_streamed() -> None:
    door = Door()

    async def talk(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await ctx.stream("value", "early ")
        await door.wait()
        await ctx.stream("value", "late")
        return {"value": 1}

    async with bench(make_type("talk", talk, outputs=[streamed("value")])) as b:
        b.open(graph({"c": held(inner({"t": "talk"}, outputs={"y": "t.value"}))}))
        first = b.start("c", stream=True)
        await door.reached.wait()
        second = b.start("c", stream=True)
        door.opened.set()

        assert (await b.sink.answer(first)).text("c/t") == "early late"
        assert (await b.sink.answer(second)).text("c/t") == "early late"


async def test_a_slow_receiver_holds_an_inner_node_back() -> None:
    sent: list[int] = []

    async def talk(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        for number in range(3):
            sent.append(number)
            await ctx.stream("value", str(number))
        return {"value": 1}

    async with bench(make_type("talk", talk, outputs=[streamed("value")])) as b:
        b.open(graph({"c": held(inner({"t": "talk"}, outputs={"y": "t.value"}))}))
        b.sink.hold()
        demand = b.start("c", stream=True)
        await b.sink.streamed(demand)
        assert sent == [0]

        b.sink.release()
        assert (await b.sink.answer(demand)).text() == "012"


async def test_events_of_inner_nodes_are_told_under_their_path() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"c": held(successor(), x=1)}))
        answer = await b.demand("c", events=True)

        told = [(node, event["event"]) for node, event in answer.events]
        assert told[0] == ("", "planned")
        assert told[1] == ("c", "started")
        assert told[-1] == ("c", "completed")
        assert ("c/add", "started") in told
        assert ("c/add", "completed") in told


async def test_a_cancel_of_the_demand_ends_the_inner_nodes() -> None:
    ended: list[str] = []
    reached = asyncio.Event()

    async def wait(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(ctx.node_id)
        return {"value": 1}

    inside = inner({"w": "wait"}, outputs={"y": "w.value"})
    middle = inner({"m": held(inside)}, outputs={"y": "m.y"})
    async with bench(make_type("wait", wait)) as b:
        b.open(graph({"c": held(middle)}))
        demand = b.start("c")
        await reached.wait()
        b.evaluator.cancel(demand)

        assert (await b.sink.answer(demand)).code == "cancelled"
        await until(lambda: not b.evaluator.flights and bool(ended))
        assert ended == ["w"]


async def test_a_deadline_and_the_end_of_a_session_end_the_inner_nodes() -> None:
    door = Door()

    async def wait(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await door.wait()
        return {"value": 1}

    async with bench(make_type("wait", wait)) as b:
        b.open(graph({"c": held(inner({"w": "wait"}, outputs={"y": "w.value"}))}))
        assert await b.fails("c", deadline_ms=1) == "deadline_exceeded"
        await until(lambda: not b.evaluator.flights)
        demand = b.start("c")
        await until(lambda: len(b.evaluator.flights) == 2)
        b.evaluator.close_session(1)

        assert (await b.sink.answer(demand)).code == "cancelled"
        await until(lambda: not b.evaluator.flights)


async def test_a_compound_of_what_may_not_be_cached_is_not_cached() -> None:
    calls = Calls()
    dice = calls.inline("dice", lambda i: {"value": 1}, effect="volatile")
    async with bench(dice) as b:
        b.open(graph({"c": held(inner({"d": "dice"}, outputs={"y": "d.value"}))}))
        await b.outputs("c")
        await b.outputs("c")

        assert calls == ["d", "d"]


async def test_samplers_in_a_compound_draw_their_seeds_from_it() -> None:
    calls = Calls()
    sample = calls.inline("sample", lambda i: {"value": i["seed"]}, inputs=["seed"], effect="seeded")
    inside = inner({"one": "sample", "two": "sample"}, outputs={"a": "one.value", "b": "two.value"})
    async with bench(sample) as b:
        b.open(graph({"c": held(inside), "d": held(inside)}))
        first, other = await b.outputs("c"), await b.outputs("d")
        again, fresh = await b.outputs("c"), await b.outputs("c", fresh=True)
        fixed = await b.outputs("c", inputs={"c": {"seed": 1}})

        assert len({first["a"], first["b"], other["a"], fresh["a"], fixed["a"]}) == 5
        assert again == first
        assert await b.outputs("c", inputs={"c": {"seed": 1}}) == fixed


async def test_a_compound_whose_samplers_have_seeds_is_pure() -> None:
    sample = make_type("sample", lambda i, c: {"value": i["seed"]}, inputs=["seed"], effect="seeded")
    async with bench(sample) as b:
        session = b.evaluator.open(
            1, graph({"c": held(inner({"s": ("sample", {"seed": 3})}, outputs={"y": "s.value"}))})
        )

        assert session.graph.nodes[0].type.spec.effect == "pure"
        assert await b.outputs("c") == {"y": 3}


async def test_a_graph_without_outputs_is_evaluated_for_what_it_does() -> None:
    calls = Calls()
    act = calls.inline("act", lambda i: {"value": 1}, effect="effect")
    async with bench(act) as b:
        b.open(graph({"c": held(graph({"one": "act", "two": "act"}))}))

        assert await b.outputs("c") == {}
        assert sorted(calls) == ["one", "two"]


@pytest.mark.parametrize("depth", [300, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_thousands_of_graphs_within_one_another(depth: int) -> None:
    graphs = {
        f"g{level}": inner({"c": held(f"g{level + 1}")}, "in-x.value -> c.x", inputs={"x": {}}, outputs={"y": "c.y"})
        for level in range(depth)
    }
    graphs[f"g{depth}"] = successor()
    async with bench(*parts(Calls()), memo=Memo()) as b:
        b.open(with_graphs(graph({"top": held("g0", x=1)}), **graphs))

        assert await b.outputs("top") == {"y": 2}
        assert (await b.demand("top")).meta["cached"] is True


@pytest.mark.parametrize("depth", [300, pytest.param(2_000, marks=pytest.mark.slow)])
async def test_thousands_of_graphs_within_one_another_fail_stream_tell_and_are_cancelled(depth: int) -> None:
    door = Door()

    async def talk(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await ctx.stream("value", "word")
        await door.wait()
        raise ValueError("at last")

    graphs = {f"g{level}": inner({"c": held(f"g{level + 1}")}, outputs={"y": "c.y"}) for level in range(depth)}
    graphs[f"g{depth}"] = inner({"t": "talk"}, outputs={"y": "t.value"})
    async with bench(make_type("talk", talk, outputs=[streamed("value")])) as b:
        b.open(with_graphs(graph({"c": held("g0")}), **graphs))
        given_up = b.start("c")
        await door.reached.wait()
        b.evaluator.cancel(given_up)
        await until(lambda: not b.evaluator.flights)
        door.reached.clear()

        demand = b.start("c", stream=True, events=True)
        await door.reached.wait()
        door.opened.set()
        answer = await b.sink.answer(demand)

        path = "/".join(["c"] * (depth + 1) + ["t"])
        assert answer.text(path) == "word"
        assert (path, "started") in [(node, event["event"]) for node, event in answer.events]
        assert answer.error is not None
        assert answer.error.node_id == path


async def test_sessions_take_turns_with_a_session_of_many_compounds() -> None:
    calls = Calls()
    order: list[int] = []
    async with bench(*parts(calls)) as b:
        many = graph({f"c{number}": held("g", x=number) for number in range(50)})
        b.open(with_graphs(many, g=successor()), session=1)
        b.open(graph({"a": held(successor(), x=1_000)}), session=2)
        first = b.start("*", session=1)
        second = b.start("a", session=2)
        for demand in (second, first):
            await b.sink.answer(demand)
        order = [answer.demand for answer in b.sink.answers]

        assert order == [second, first]


async def test_a_large_inner_graph_is_compiled_beside_the_loop() -> None:
    nodes: dict[str, Any] = {f"n{number}": "add" for number in range(300)}
    edges = [f"n{number}.value -> n{number + 1}.a" for number in range(299)]
    inside = inner(nodes, "in-x.value -> n0.a", *edges, inputs={"x": {}}, outputs={"y": "n299.value"})
    async with bench(*parts(Calls())) as b:
        b.open(with_graphs(graph({"c": held("g", x=0), "d": held("g", x=1)}), g=inside))

        assert await b.outputs("*") == {"c": {"y": 300}, "d": {"y": 301}}


async def test_graphs_that_each_hold_the_one_before_twice() -> None:
    async def talk(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await ctx.stream("text", "word")
        return {"text": 1}

    held_twice: dict[str, Any] = {"g0": inner({"t": "talk"}, outputs={"y": "t.text"})}
    for number in range(1, 41):
        twice: dict[str, Any] = {"l": held(f"g{number - 1}"), "r": held(f"g{number - 1}"), "sum": "add"}
        held_twice[f"g{number}"] = inner(twice, "l.y -> sum.a", "r.y -> sum.b", outputs={"y": "sum.value"})
    async with bench(*parts(Calls()), make_type("talk", talk, outputs=[streamed("text")])) as b:
        b.open(with_graphs(graph({"c": held("g40")}), **held_twice))

        answer = await b.demand("c", stream=True, events=True)

        assert answer.outputs == {"y": 2**40}
        assert {chunk.value for chunk in answer.chunks} == {"word"}
        assert "/".join(["c", *["l"] * 40, "t"]) in {chunk.node.replace("/r", "/l") for chunk in answer.chunks}
