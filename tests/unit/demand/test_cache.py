"""What was computed once is not computed again, what nobody reads is not brought back, and failures are not kept."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.evaluation import Calls, bench, graph, make_type, many

from graphport.core.errors import NodeError
from graphport.demand.memo import Memo

pytestmark = pytest.mark.anyio


def line(*kinds: str) -> dict[str, Any]:
    """`a` gives a number, then one node of each kind, called `b`, `c` and so on."""
    names = "abcdefgh"
    nodes: dict[str, Any] = {"a": ("source", {"x": 1})} | dict(zip(names[1:], kinds, strict=False))
    return graph(nodes, *(f"{names[place]}.value -> {names[place + 1]}.items" for place in range(len(kinds))))


async def test_a_second_demand_runs_nothing() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(line("total", "total"))
        first = await b.demand("c")

        second = await b.demand("c")

        assert first.outputs == second.outputs
        assert len(calls) == 3
        assert (first.meta["cached"], first.meta["ran"]) == (False, 3)
        assert (second.meta["cached"], second.meta["ran"]) == (True, 0)


async def test_a_demand_further_down_runs_only_the_rest() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(line("total", "total"))
        await b.outputs("b")
        calls.clear()

        answer = await b.demand("c")

        assert calls == ["c"]
        assert (answer.meta["cached"], answer.meta["ran"]) == (False, 1)


async def test_equal_nodes_of_two_sessions_share_their_results() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(line("total"), session=1)
        b.open(line("total"), session=2)
        await b.outputs("b", session=1)

        assert (await b.demand("b", session=2)).meta["cached"]
        assert len(calls) == 2


async def test_a_closed_and_reopened_graph_is_still_known() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(line("total"))
        await b.outputs("b")
        b.evaluator.close_session(1)
        b.open(line("total"))

        assert (await b.demand("b")).meta["cached"]


async def test_another_node_type_of_the_same_data_is_another_result() -> None:
    one = make_type("one", lambda _i, _c: {"value": 1}, inputs=["x"])
    two = make_type("two", lambda _i, _c: {"value": 2}, inputs=["x"])
    async with bench(one, two) as b:
        b.open(graph({"a": ("one", {"x": 0}), "b": ("two", {"x": 0})}))

        assert await b.outputs("a") == {"value": 1}
        assert await b.outputs("b") == {"value": 2}


async def test_the_ports_that_edges_join_are_part_of_what_is_remembered() -> None:
    split = make_type("split", lambda _i, _c: {"p": 1, "q": 2}, outputs=["p", "q"])
    less = make_type("less", lambda i, _c: {"value": i["a"] - i["b"]}, inputs=["a", "b"])
    async with bench(split, less) as b:
        b.open(graph({"s": "split", "l": "less"}, "s.p -> l.a", "s.q -> l.b"), session=1)
        b.open(graph({"s": "split", "l": "less"}, "s.q -> l.a", "s.p -> l.b"), session=2)
        b.open(graph({"s": "split", "l": "less"}, "s.p -> l.a", "s.p -> l.b"), session=3)

        assert [(await b.outputs("l", session=each))["value"] for each in (1, 2, 3)] == [-1, 1, 0]


async def test_data_too_deep_to_digest_is_never_taken_for_other_data() -> None:
    def deep(end: int) -> list[Any]:
        value: list[Any] = [end]
        for _ in range(450):
            value = [value]
        return value

    def innermost(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        value = inputs["x"]
        while isinstance(value, list):
            (value,) = value
        return {"value": value}

    async with bench(make_type("deepest", innermost, inputs=["x"])) as b:
        for end in range(20):
            b.open(graph({"d": ("deepest", {"x": deep(end)})}))

            assert await b.outputs("d") == {"value": end}
            b.evaluator.close_session(1)


async def test_evicted_values_that_nobody_reads_are_not_computed_again() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total(), memo=Memo(max_entries=1)) as b:
        b.open(line("total", "total", "total"))
        await b.outputs("d")
        calls.clear()

        assert (await b.demand("d")).meta["cached"]
        assert not calls


async def test_values_in_use_survive_their_eviction() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total(), memo=Memo(max_entries=0)) as b:
        nodes: dict[str, Any] = {"a": ("source", {"x": 1})} | {f"t{number}": "total" for number in range(20)}
        edges = [f"a.value -> t{number}.items" for number in range(20)]
        b.open(graph(nodes | {"end": "total"}, *edges, *(f"t{number}.value -> end.items" for number in range(20))))

        assert await b.outputs("end") == {"value": 41}
        assert len(calls) == 22
        assert len(b.evaluator.memo) == 0


async def test_the_cache_is_bounded_by_bytes_and_drops_the_oldest() -> None:
    calls = Calls()
    big = calls.inline("big", lambda inputs: {"value": str(inputs["x"]) * 10_000}, inputs=["x"])
    async with bench(big, memo=Memo(max_bytes=55_000)) as b:
        b.open(graph({f"b{number}": ("big", {"x": number}) for number in range(10)}))
        for number in range(10):
            await b.outputs(f"b{number}")
        calls.clear()

        assert b.evaluator.memo.bytes <= 55_000
        for number in range(9, -1, -1):
            await b.outputs(f"b{number}")
        assert len(b.evaluator.memo) == 5
        assert calls == [f"b{number}" for number in range(4, -1, -1)]


async def test_a_value_larger_than_the_cache_is_not_kept_and_drops_nothing() -> None:
    calls = Calls()
    big = calls.inline("big", lambda inputs: {"value": "x" * inputs["x"]}, inputs=["x"])
    async with bench(big, memo=Memo(max_bytes=10_000)) as b:
        b.open(graph({"small": ("big", {"x": 10}), "large": ("big", {"x": 20_000})}))
        for name in ("small", "large", "small", "large"):
            await b.outputs(name)

        assert calls == ["small", "large", "large"]


async def test_an_equal_result_stops_the_evaluation_where_the_node_asks_for_it() -> None:
    calls = Calls()
    sign = calls.inline(
        "sign", lambda inputs: {"value": inputs["items"][0] > 0}, inputs=[many("items")], content_digest=True
    )
    async with bench(calls.source(), sign, calls.total()) as b:
        b.open(line("sign", "total"))
        await b.outputs("c")
        calls.clear()

        answer = await b.demand("c", inputs={"a": {"x": 5}})

        assert calls == ["a", "b"]
        assert answer.meta["cached"], "the demanded node itself came from the cache"
        assert answer.meta["ran"] == 2
        assert await b.outputs("c", inputs={"a": {"x": -5}}) == {"value": 1}


async def test_a_result_without_a_digest_never_stops_the_evaluation_wrongly() -> None:
    calls = Calls()
    opaque = make_type(
        "opaque", lambda inputs, _c: {"value": {"it": object(), "x": inputs["x"]}}, inputs=["x"], content_digest=True
    )
    read = calls.inline("read", lambda inputs: {"value": inputs["o"]["x"]}, inputs=["o"])
    async with bench(opaque, read) as b:
        b.open(graph({"o": "opaque", "r": "read"}, "o.value -> r.o"))

        assert await b.outputs("r", inputs={"o": {"x": 1}}) == {"value": 1}
        assert await b.outputs("r", inputs={"o": {"x": 2}}) == {"value": 2}
        assert await b.outputs("r", inputs={"o": {"x": 1}}) == {"value": 1}


@pytest.mark.parametrize("execution", ["inline", "async", "thread"])
async def test_a_failure_is_not_kept(execution: str) -> None:
    attempts: list[int] = []

    def fail_once(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        attempts.append(1)
        if len(attempts) == 1:
            raise NodeError("not yet")
        return {"value": "done"}

    async def fail_once_async(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        return fail_once(inputs, ctx)

    kind = make_type("f", fail_once_async if execution == "async" else fail_once, execution=execution)
    async with bench(kind) as b:
        b.open(graph({"f": "f"}))

        assert await b.fails("f") == "node_failed"
        assert await b.outputs("f") == {"value": "done"}
        assert (await b.demand("f")).meta["cached"]
        assert len(attempts) == 2


async def test_what_succeeded_before_a_failure_is_kept() -> None:
    calls = Calls()

    def fail(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        raise ValueError

    async with bench(calls.source(), make_type("fail", fail, inputs=[many("items")])) as b:
        b.open(line("fail"))
        await b.fails("b")

        await b.fails("b")

        assert calls == ["a"]


async def test_a_value_that_does_not_want_to_be_measured_passes_on() -> None:
    class Shy:
        @property
        def nbytes(self) -> int:
            raise RuntimeError("not now")

        def __sizeof__(self) -> int:
            raise RuntimeError("nor now")

    for execution in ("inline", "thread"):
        shy = make_type("shy", lambda _i, _c: {"value": Shy()}, execution=execution)
        name = make_type("name", lambda i, _c: {"value": type(i["x"]).__name__}, inputs=["x"])
        async with bench(shy, name) as b:
            b.open(graph({"s": "shy", "n": "name"}, "s.value -> n.x"))

            assert await b.outputs("n") == {"value": "Shy"}


async def test_a_result_is_found_whichever_way_it_is_demanded() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(
            graph(
                {"s": ("source", {"x": 1}), "t": "total", "u": ("source", {"x": 2}), "both": "total"},
                "s.value -> t.items",
                "t.value -> both.items",
                "u.value -> both.items",
            )
        )
        await b.outputs("t")
        calls.clear()

        await b.outputs(["t", "s"])
        await b.outputs("t", events=True)
        await b.outputs("both", inputs={"u": {"x": 3}})

        assert calls == ["u", "both"] or calls == ["both", "u"]
