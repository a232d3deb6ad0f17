"""A node with an edge from `[error]` routes its failure there, and ends no demand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.evaluation import Calls, Door, bench, graph, make_type, many

from graphport.core.errors import DemandStopped, GraphInvalid

if TYPE_CHECKING:
    from graphport.contracts.node import NodeType

pytestmark = pytest.mark.anyio


def fragile(calls: Calls, name: str = "fragile", execution: str = "inline") -> NodeType:
    """Fails if its input is negative."""

    def run(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        calls.append(ctx.node_id)
        if inputs["x"] < 0:
            raise ValueError("negative")
        return {"value": inputs["x"]}

    async def run_async(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        return run(inputs, ctx)

    if execution == "async":
        return make_type(name, run_async, inputs=["x"])
    return make_type(name, run, inputs=["x"], execution=execution)


def parts(calls: Calls, execution: str = "inline") -> list[NodeType]:
    return [
        fragile(calls, execution=execution),
        calls.inline("double", lambda inputs: {"value": 2 * inputs["x"]}, inputs=["x"]),
        calls.inline("told", lambda inputs: {"value": inputs["error"]["code"]}, inputs=["error"]),
        calls.inline("same", lambda inputs: {"value": inputs["error"]}, inputs=["error"]),
        calls.inline("listed", lambda inputs: {"value": inputs["items"]}, inputs=[many("items")]),
    ]


def guarded(x: int) -> dict[str, Any]:
    """`bad` fails for negative x: `ok` reads its value, `handler` its error, `both` whichever comes."""
    return graph(
        {"bad": ("fragile", {"x": x}), "ok": "double", "handler": "told", "raw": "same", "both": "listed"},
        "bad.value -> ok.x",
        "bad.[error] -> handler.error",
        "bad.[error] -> raw.error",
        "ok.value -> both.items",
        "handler.value -> both.items",
    )


@pytest.mark.parametrize("execution", ["inline", "async", "thread"])
async def test_the_error_goes_over_the_edge_and_the_other_ports_are_dead(execution: str) -> None:
    calls = Calls()
    async with bench(*parts(calls, execution)) as b:
        b.open(guarded(-1))

        assert await b.outputs("both") == {"value": ["node_failed"]}
        assert "ok" not in calls


@pytest.mark.parametrize("execution", ["inline", "async", "thread"])
async def test_the_error_port_of_a_node_that_succeeds_is_dead(execution: str) -> None:
    calls = Calls()
    async with bench(*parts(calls, execution)) as b:
        b.open(guarded(3))

        assert await b.outputs("both") == {"value": [6]}
        assert "handler" not in calls
        assert (await b.demand("handler")).meta["skipped"] is True


async def test_the_error_says_what_failed_and_holds_no_traceback() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(guarded(-1))

        assert await b.outputs("raw") == {
            "value": {
                "code": "node_failed",
                "message": "node 'bad' (fragile) raised ValueError: negative",
                "node_id": "bad",
                "exception": "ValueError",
            }
        }


@pytest.mark.parametrize("target", ["bad", ["bad", "handler"]])
async def test_the_failing_node_itself_still_fails_its_demand(target: Any) -> None:
    async with bench(*parts(Calls())) as b:
        b.open(guarded(-1))

        assert await b.fails(target) == "node_failed"


async def test_what_only_the_failed_node_would_feed_is_skipped() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(guarded(-1))
        answer = await b.demand("ok")

        assert (answer.outputs, answer.meta["skipped"]) == ({}, True)


async def test_a_failure_is_not_cached() -> None:
    calls = Calls()
    async with bench(*parts(calls)) as b:
        b.open(guarded(-1))
        await b.outputs("both")
        await b.outputs("both")

        assert calls.count("bad") == 2
        assert calls.count("handler") == 1, "what the same error gives is cached"


async def test_consumers_of_an_error_do_not_take_one_failure_for_another() -> None:
    failures = iter([ValueError("first"), ValueError("second")])

    def run(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        raise next(failures)

    calls = Calls()
    async with bench(
        make_type("once-so", run), calls.inline("read", lambda i: {"value": i["e"]["message"]}, inputs=["e"])
    ) as b:
        b.open(graph({"bad": "once-so", "read": "read"}, "bad.[error] -> read.e"))
        first, second = await b.outputs("read"), await b.outputs("read")

        assert first["value"].endswith("first")
        assert second["value"].endswith("second")


async def test_a_value_goes_on_if_the_demand_gives_what_did_not_fail() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(guarded(-1))

        assert await b.outputs("both", inputs={"bad": {"x": 5}}) == {"value": [10]}


async def test_a_missing_input_of_the_node_is_routed() -> None:
    from graphport.contracts.node import PortSpec

    needy = make_type(
        "needy", lambda inputs, ctx: {"value": 1}, inputs=[PortSpec(name="x", required=True, external=True)]
    )
    async with bench(needy, *parts(Calls())) as b:
        b.open(graph({"bad": "needy", "handler": "told"}, "bad.[error] -> handler.error"))

        assert await b.outputs("handler") == {"value": "missing_input"}


async def test_the_timeout_of_the_node_itself_is_routed() -> None:
    door = Door()

    async def slow(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await door.wait()
        return {"value": 1}

    async with bench(make_type("slow", slow, timeout_ms=1), *parts(Calls())) as b:
        b.open(graph({"bad": "slow", "handler": "told"}, "bad.[error] -> handler.error"))

        assert await b.outputs("handler") == {"value": "deadline_exceeded"}


async def test_a_cancel_and_the_deadline_of_the_demand_are_not_routed() -> None:
    door = Door()

    async def slow(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await door.wait()
        return {"value": 1}

    async with bench(make_type("slow", slow), *parts(Calls())) as b:
        b.open(graph({"bad": "slow", "handler": "told"}, "bad.[error] -> handler.error"))
        demand = b.start("handler")
        await door.reached.wait()
        b.evaluator.cancel(demand)

        assert (await b.sink.answer(demand)).code == "cancelled"
        assert await b.fails("handler", deadline_ms=1) == "deadline_exceeded"


async def test_a_node_that_says_it_was_cancelled_is_not_routed() -> None:
    def stop(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        raise DemandStopped("no more", code="cancelled")

    async with bench(make_type("stop", stop), *parts(Calls())) as b:
        b.open(graph({"bad": "stop", "handler": "told"}, "bad.[error] -> handler.error"))

        assert await b.fails("handler") == "cancelled"


async def test_a_shared_execution_fails_one_demand_and_is_routed_in_another() -> None:
    door = Door()

    async def late(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await door.wait()
        raise ValueError("late")

    async with bench(make_type("late", late), *parts(Calls())) as b:
        b.open(graph({"bad": "late", "handler": "told"}, "bad.[error] -> handler.error"), session=1)
        b.open(graph({"bad": "late"}), session=2)
        routed, plain = b.start("handler", session=1), b.start("bad", session=2)
        await door.reached.wait()
        door.opened.set()

        assert (await b.sink.answer(routed)).outputs == {"value": "node_failed"}
        assert (await b.sink.answer(plain)).code == "node_failed"
        assert door.entries == 1


async def test_events_tell_of_the_failure_and_go_on() -> None:
    async with bench(*parts(Calls())) as b:
        b.open(guarded(-1))
        answer = await b.demand("handler", events=True)

        told = [(node, event["event"]) for node, event in answer.events if node]
        assert told == [("bad", "started"), ("bad", "failed"), ("handler", "started"), ("handler", "completed")]


@pytest.mark.parametrize(("target", "code"), [("wants-text", "incompatible_ports"), ("wants-map", None)])
async def test_edges_from_the_error_port_are_checked(target: str, code: str | None) -> None:
    from graphport.contracts.node import PortSpec

    types = [
        make_type("wants-text", lambda i, c: {"value": 1}, inputs=[PortSpec(name="e", type="string")]),
        make_type("wants-map", lambda i, c: {"value": 1}, inputs=[PortSpec(name="e", type="map")]),
    ]
    async with bench(*types, *parts(Calls())) as b:
        raw = graph({"bad": ("fragile", {"x": 1}), "it": target}, "bad.[error] -> it.e")
        if code is None:
            b.open(raw)
            return
        with pytest.raises(GraphInvalid) as caught:
            b.open(raw)
        assert [fault["code"] for fault in (caught.value.details or {})["faults"]] == [code]


async def test_a_graph_without_error_edges_plans_as_before() -> None:
    async with bench(*parts(Calls())) as b:
        session = b.evaluator.open(1, graph({"bad": ("fragile", {"x": 1}), "ok": "double"}, "bad.value -> ok.x"))
        plan = session.graph.plan_of("ok")

        assert plan is not None
        assert plan.lazy is False


def test_no_node_declares_the_error_port() -> None:
    with pytest.raises(ValueError, match="every node has the output"):
        make_type("bad", lambda i, c: {}, outputs=["[error]"])
