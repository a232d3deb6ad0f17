"""A node that misbehaves fails its demand with a code and with words that help, and nothing else."""

from __future__ import annotations

import asyncio
from collections import UserDict
from types import MappingProxyType
from typing import Any

import pytest
from tests.support.evaluation import Bench, Calls, bench, graph, make_type, many, streamed

from graphport.core.errors import InferenceError

pytestmark = pytest.mark.anyio

EXECUTIONS = ["inline", "async", "async later", "thread"]


class Stop(BaseException):
    """What node code raises that should have been an `Exception`."""


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def acting(execution: str, act: Any, **spec: Any) -> Any:
    """A type `n` that returns what `act()` does, in one of the ways in which nodes run."""

    def run(_inputs: dict[str, Any], _ctx: Any) -> Any:
        return act()

    async def run_async(_inputs: dict[str, Any], _ctx: Any) -> Any:
        if execution == "async later":
            await asyncio.sleep(0)
        return act()

    if execution.startswith("async"):
        return make_type("n", run_async, **spec)
    return make_type("n", run, execution=execution, **spec)


def raising(error: BaseException) -> Any:
    def act() -> Any:
        raise error

    return act


async def still_works(b: Bench) -> bool:
    return (await b.demand("fine")).outputs == {"value": "fine"}


FINE = ("source", {"x": "fine"})


@pytest.mark.parametrize("execution", EXECUTIONS)
async def test_a_node_that_raises_fails_with_its_exception_and_its_own_frames(execution: str) -> None:
    def of_the_node() -> Any:
        raise ValueError("three is too many")

    async with bench(acting(execution, of_the_node), Calls().source()) as b:
        b.open(graph({"bad": "n", "fine": FINE}))

        answer = await b.demand("bad")

        error = answer.error
        assert error is not None
        assert (error.code, error.node_id, error.exception_name) == ("node_failed", "bad", "ValueError")
        assert "three is too many" in error.message
        trace = error.traceback_text or ""
        assert "in of_the_node" in trace
        assert "/graphport/demand/" not in trace
        assert await still_works(b)


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize(
    "error",
    [SystemExit(3), asyncio.CancelledError(), Stop("now"), Mute(), TimeoutError(), StopIteration(1), GeneratorExit()],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_node_raises_is_its_own_failure(execution: str, error: BaseException) -> None:
    async with bench(acting(execution, raising(error)), Calls().source()) as b:
        b.open(graph({"bad": "n", "fine": FINE}))

        answer = await b.demand("bad")

        assert answer.code == "node_failed"
        assert await still_works(b)


@pytest.mark.parametrize("execution", EXECUTIONS)
async def test_an_error_of_ours_keeps_its_code_and_learns_the_node(execution: str) -> None:
    error = InferenceError("no such model", code="model_not_found")
    async with bench(acting(execution, raising(error))) as b:
        b.open(graph({"llm": "n"}))

        answer = await b.demand("llm")

        assert answer.code == "model_not_found"
        assert answer.error is not None
        assert answer.error.node_id == "llm"


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize(
    ("returned", "code"),
    [
        ({"value": 1, "more": 2}, "undeclared_output"),
        ({"more": 2}, "undeclared_output"),
        ({}, "missing_output"),
        (None, "node_failed"),
        (5, "node_failed"),
        ([("value", 1)], "node_failed"),
        ({5: 1}, "undeclared_output"),
    ],
    ids=str,
)
async def test_outputs_must_be_what_was_declared(execution: str, returned: Any, code: str) -> None:
    async with bench(acting(execution, lambda: returned), Calls().source()) as b:
        b.open(graph({"bad": "n", "fine": FINE}))

        answer = await b.demand("bad")

        assert answer.code == code
        assert answer.error is not None
        assert answer.error.node_id == "bad"
        assert await still_works(b)


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("returned", [MappingProxyType({"value": 1}), UserDict({"value": 1})], ids=["proxy", "user"])
async def test_any_mapping_will_do(execution: str, returned: Any) -> None:
    async with bench(acting(execution, lambda: returned)) as b:
        b.open(graph({"n": "n"}))

        assert await b.outputs("n") == {"value": 1}
        assert (await b.demand("n")).meta["cached"]


@pytest.mark.parametrize("execution", EXECUTIONS)
async def test_a_failure_upstream_fails_the_demand_with_the_node_that_failed(execution: str) -> None:
    calls = Calls()
    async with bench(acting(execution, raising(ValueError())), calls.total()) as b:
        b.open(graph({"bad": "n", "mid": "total", "end": "total"}, "bad.value -> mid.items", "mid.value -> end.items"))

        answer = await b.demand("end")

        assert answer.node == "end"
        assert answer.error is not None
        assert answer.error.node_id == "bad"
        assert not calls


@pytest.mark.parametrize("execution", ["inline", "async", "thread"])
async def test_streaming_to_a_port_that_is_not_streamed_fails(execution: str) -> None:
    def on_thread(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        ctx.stream("value", "x")
        return {"value": 1}

    async def on_loop(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await ctx.stream("value", "x")
        return {"value": 1}

    def inline(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        ctx.stream("value", "x").send(None)
        return {"value": 1}

    handler = {"thread": on_thread, "async": on_loop, "inline": inline}[execution]
    async with bench(make_type("n", handler, execution=execution, outputs=["value", streamed("text")])) as b:
        b.open(graph({"n": "n"}))

        assert await b.fails("n", stream=True) == "undeclared_output"


@pytest.mark.parametrize("execution", ["async", "async later", "thread"])
async def test_a_chunk_that_cannot_travel_fails_the_node_that_made_it(execution: str) -> None:
    def on_thread(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        ctx.stream("text", object())
        return {"text": "x"}

    async def on_loop(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        if execution == "async later":
            await asyncio.sleep(0)
        await ctx.stream("text", object())
        return {"text": "x"}

    handler = on_thread if execution == "thread" else on_loop
    kind = "thread" if execution == "thread" else "async"
    async with bench(make_type("n", handler, execution=kind, outputs=[streamed("text")])) as b:
        b.open(graph({"n": "n"}))

        assert await b.fails("n", stream=True) == "unencodable_value"


async def test_a_service_that_the_engine_lacks_is_named() -> None:
    def ask(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        return {"value": ctx.service("rag")}

    async with bench(make_type("n", ask), services={"inference": 1}) as b:
        b.open(graph({"n": "n"}))

        answer = await b.demand("n")

        assert answer.code == "backend_unavailable"
        assert "inference" in str(answer.error)


@pytest.mark.parametrize("execution", EXECUTIONS)
async def test_one_failure_fails_everyone_who_waits_for_it(execution: str) -> None:
    calls = Calls()
    async with bench(acting(execution, raising(ValueError())), calls.total(), calls.source()) as b:
        b.open(graph({"bad": "n", "end": "total", "fine": FINE}, "bad.value -> end.items"))

        demands = [b.start("bad"), b.start("end"), b.start("end"), b.start("fine")]

        codes = [(await b.sink.answer(demand)).code for demand in demands]
        assert codes == ["node_failed"] * 3 + [None]


async def test_a_node_may_not_change_what_others_are_given() -> None:
    def spoil(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        inputs["x"]["list"].append("spoiled")
        inputs["x"]["tuple"][0].append("spoiled")
        inputs["x"]["more"] = "spoiled"
        return {"value": len(inputs["x"]["list"])}

    value = {"list": [1], "tuple": ([],)}
    for execution in ("inline", "thread"):
        gives = make_type("gives", lambda _i, _c: {"value": value})
        async with bench(gives, make_type("spoil", spoil, inputs=["x"], execution=execution)) as b:
            b.open(graph({"g": "gives", "s": "spoil"}, "g.value -> s.x"))

            assert await b.outputs("s") == {"value": 2}
            assert await b.outputs("g") == {"value": {"list": [1], "tuple": ([],)}}


async def test_a_node_may_not_change_its_own_data_for_the_next_run() -> None:
    calls = Calls()
    grow = make_type("grow", lambda i, _c: {"value": i["x"].append(1) or len(i["x"])}, inputs=["x"], effect="volatile")
    async with bench(grow, calls.total()) as b:
        b.open(graph({"g": ("grow", {"x": []})}))

        assert [(await b.outputs("g"))["value"] for _ in range(3)] == [1, 1, 1]


async def test_a_node_that_demands_may_not_be_answered_with_a_value_it_can_change_later() -> None:
    listed = make_type("listed", lambda i, _c: {"value": i["items"]}, inputs=[many("items")], trusted=True)
    spoil = make_type("spoil", lambda i, _c: {"value": i["x"].clear()}, inputs=["x"])
    async with bench(Calls().source(), listed, spoil) as b:
        b.open(graph({"s": ("source", {"x": 1}), "l": "listed", "z": "spoil"}, "s.value -> l.items", "l.value -> z.x"))
        await b.outputs("z")

        assert await b.outputs("l") == {"value": [1]}
