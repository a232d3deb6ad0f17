"""A graph again and again: how often, what is carried, limits, failures, and what is cached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.compounds import inner
from tests.support.evaluation import Calls, bench, graph

from graphport.contracts.node import PortSpec
from graphport.core.errors import GraphInvalid

if TYPE_CHECKING:
    from graphport.contracts.node import NodeType

pytestmark = pytest.mark.anyio


def parts(calls: Calls) -> list[NodeType]:
    return [
        calls.source(),
        calls.inline("add", lambda i: {"value": i["a"] + i["b"]}, inputs=["a", PortSpec(name="b", default=1)]),
        calls.inline("below", lambda i: {"value": i["a"] < i["b"]}, inputs=["a", PortSpec(name="b", default=10)]),
        calls.inline("divide", lambda i: {"value": 12 // i["x"]}, inputs=["x"]),
    ]


def step(**by: Any) -> dict[str, Any]:
    """Adds to what is carried as `n`; `more` is true while it is below 10."""
    return inner(
        {"add": ("add", by), "more": "below"},
        "in-n.value -> add.a",
        "add.value -> more.a",
        inputs={"n": {}},
        outputs={"n": "add.value", "more": "more.value"},
    )


def loop(held: dict[str, Any], mode: str, **data: Any) -> tuple[str, dict[str, Any]]:
    return ("loop", {"graph": held, "mode": mode, **data})


async def test_so_many_times() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"l": loop(step(), "times", times=4, n=100)}))

        assert await b.outputs("l") == {"n": 104, "more": False, "iterations": 4}


async def test_no_times_gives_what_was_to_be_carried() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(graph({"l": loop(step(), "times", times=0, n=100)}))

        assert await b.outputs("l") == {"n": 100, "more": None, "iterations": 0}
        assert not calls


@pytest.mark.parametrize(("start", "expected", "iterations"), [(0, 10, 10), (8, 10, 2), (50, 51, 1)])
async def test_as_long_as_an_output_is_true(start: int, expected: int, iterations: int) -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"l": loop(step(), "while", n=start, **{"while": "more"})}))

        assert await b.outputs("l") == {"n": expected, "more": False, "iterations": iterations}


async def test_for_each_item_with_what_is_carried() -> None:
    summing = inner(
        {"add": "add"},
        "in-sum.value -> add.a",
        "in-item.value -> add.b",
        inputs={"sum": {"default": 0}, "item": {}, "index": {}},
        outputs={"sum": "add.value", "at": "in-index.value"},
    )
    async with bench(*parts(Calls())) as b:
        b.open(graph({"l": loop(summing, "each", items=[5, 6, 7])}))

        assert await b.outputs("l") == {"sum": 18, "at": 2, "iterations": 3}
        assert await b.outputs("l", inputs={"l": {"items": []}}) == {"sum": 0, "at": None, "iterations": 0}


async def test_a_dead_output_that_is_carried_leaves_the_value_as_it_was() -> None:
    gated = inner(
        {"g": "conditional"},
        "in-item.value -> g.condition",
        "in-index.value -> g.value",
        inputs={"last": {"default": -1}, "item": {"type": "boolean"}, "index": {}},
        outputs={"last": "g.true_out"},
    )
    async with bench(*parts(Calls())) as b:
        b.open(graph({"l": loop(gated, "each", items=[False, True, True, False])}))

        assert await b.outputs("l") == {"last": 2, "iterations": 4}


@pytest.mark.parametrize(
    ("mode", "data", "ran"),
    [
        ("while", {"n": -10_000, "while": "more", "max_iterations": 7}, 14),
        ("times", {"n": 0, "times": 1001}, 0),
        ("each", {"n": 0, "items": [1, 2, 3], "max_iterations": 2}, 0),
    ],
)
async def test_a_loop_that_goes_on_for_too_long_is_an_error(mode: str, data: dict[str, Any], ran: int) -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(graph({"l": loop(step(), mode, **data)}))

        assert await b.fails("l") == "iterations_exceeded"
        assert len(calls) == ran


async def test_exactly_the_limit_is_no_error() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"l": loop(step(), "while", n=0, max_iterations=10, **{"while": "more"})}))

        assert (await b.outputs("l"))["iterations"] == 10


async def test_iterations_are_cached_each() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(graph({"l": loop(step(), "times", times=3, n=0)}))
        await b.outputs("l")
        await b.outputs("l", inputs={"l": {"times": 5}})

        assert calls.count("add") == 5


async def test_loops_over_one_graph_that_differ_in_their_condition_are_not_taken_for_each_other() -> None:
    held = inner(
        {"add": "add", "no": ("below", {"b": 0}), "more": ("below", {"b": 3})},
        "in-n.value -> add.a",
        "add.value -> no.a",
        "add.value -> more.a",
        inputs={"n": {}},
        outputs={"n": "add.value", "no": "no.value", "more": "more.value"},
    )
    async with bench(*parts(Calls())) as b:
        b.open(
            graph(
                {"a": loop(held, "while", n=0, **{"while": "no"}), "b": loop(held, "while", n=0, **{"while": "more"})}
            )
        )

        assert (await b.outputs("a"))["iterations"] == 1
        assert (await b.outputs("b"))["iterations"] == 3


async def test_a_failure_names_the_iteration() -> None:
    held = inner(
        {"less": ("add", {"b": -1}), "d": "divide"},
        "in-n.value -> less.a",
        "in-n.value -> d.x",
        inputs={"n": {}},
        outputs={"n": "less.value", "y": "d.value"},
    )
    async with bench(*parts(Calls())) as b:
        b.open(graph({"l": loop(held, "times", times=9, n=2)}))
        answer = await b.demand("l")

        assert answer.error is not None
        assert (answer.error.node_id, answer.error.exception_name) == ("l/2/d", "ZeroDivisionError")


@pytest.mark.parametrize(
    ("mode", "inputs"),
    [("times", {"times": -1}), ("times", {"times": "3"}), ("each", {"items": 3}), ("times", {"max_iterations": 0})],
)
async def test_what_a_demand_cannot_give(mode: str, inputs: dict[str, Any]) -> None:
    data: dict[str, Any] = {"times": 1} if mode == "times" else {"items": []}
    async with bench(*parts(Calls())) as b:
        b.open(graph({"l": loop(step(), mode, n=0, **data)}))

        assert await b.fails("l", inputs={"l": inputs}) == "invalid_input"


async def test_a_condition_that_is_no_truth_value() -> None:
    held = inner({"add": "add"}, "in-n.value -> add.a", inputs={"n": {}}, outputs={"n": "add.value"})
    async with bench(*parts(Calls())) as b:
        b.open(graph({"l": loop(held, "while", n=1, **{"while": "n"})}))

        assert await b.fails("l") == "invalid_input"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"mode": "for-ever"},
        {"mode": "while"},
        {"mode": "while", "while": 5},
        {"mode": "times"},
    ],
)
async def test_data_that_say_no_loop(data: dict[str, Any]) -> None:
    async with bench(*parts(Calls())) as b:
        with pytest.raises(GraphInvalid) as caught:
            b.open(graph({"l": ("loop", {"graph": step(), "n": 1, **data})}))

        codes = {fault["code"] for fault in (caught.value.details or {})["faults"]}
        assert codes == ({"missing_input"} if data == {"mode": "times"} else {"invalid_input"})


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [({"x": {"type": "integer"}}, {"x": "text"}), ({"x": {}}, {"iterations": "any"}), ({"times": {}}, {"y": "any"})],
)
async def test_ports_that_cannot_be_those_of_a_loop(inputs: dict[str, Any], outputs: dict[str, str]) -> None:
    nodes: dict[str, Any] = {f"i-{name}": ("graph-input", {"name": name, **data}) for name, data in inputs.items()}
    nodes |= {
        f"o-{name}": ("graph-output", {"name": name, "type": {"text": "image"}.get(kind, kind), "value": 1})
        for name, kind in outputs.items()
    }
    async with bench() as b:
        with pytest.raises(GraphInvalid) as caught:
            b.open(graph({"l": loop(graph(nodes), "times", times=1)}))

        assert [fault["code"] for fault in (caught.value.details or {})["faults"]] == ["invalid_input"]


async def test_progress_counts_iterations() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(graph({"l": loop(step(), "times", times=2, n=0), "w": loop(step(), "while", n=8, **{"while": "more"})}))

        for node, expected in (
            ("l", [(0.5, "1 of 2"), (1.0, "2 of 2")]),
            ("w", [(None, "1 iterations"), (None, "2 iterations")]),
        ):
            answer = await b.demand(node, events=True)
            told = [(event["fraction"], event["text"]) for _, event in answer.events if event["event"] == "progress"]
            assert told == expected
