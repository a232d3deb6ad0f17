"""Nodes that wait for a person's answer, the demands that wait with them, and what an answer is kept under."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.evaluation import Bench, Calls, Door, bench, graph, make_type, turns

from graphport.core.errors import LookupFailed, NodeError
from graphport.demand.answers import restore

pytestmark = pytest.mark.anyio

ASKS = {"ask": ("human-input", {"prompt": "Sure?"})}


def types(ran: Calls) -> list[Any]:
    return [ran.source(), ran.inline("shout", lambda inputs: {"value": f"{inputs['x']}!"}, inputs=["x"])]


def asking() -> dict[str, Any]:
    return graph(
        {**ASKS, "a": ("source", {"x": "prompt?"}), "out": "shout"}, "a.value -> ask.prompt", "ask.value -> out.x"
    )


async def test_an_unanswered_node_fails_the_demand_that_does_not_wait() -> None:
    async with bench(*types(Calls())) as at:
        at.open(asking())
        answer = await at.demand("out")
        assert answer.error is not None
        assert (answer.code, answer.error.node_id, answer.error.details) == (
            "waiting_for_input",
            "ask",
            {"prompt": "prompt?"},
        )


async def test_an_answer_lets_every_demand_go_on_and_nothing_runs_again() -> None:
    ran = Calls()
    async with bench(*types(ran)) as at:
        at.open(asking())
        first, second = at.start("out", wait=True, events=True), at.start("ask", wait=True)
        await turns()
        waiting = [event for _, event in at.sink.events(first) if event["event"] == "waiting"]
        assert waiting == [{"event": "waiting", "prompt": "prompt?"}]

        assert at.evaluator.answer(1, "ask", "yes") == 2

        assert (await at.sink.answer(first)).outputs == {"value": "yes!"}
        assert (await at.sink.answer(second)).outputs == {"prompt": "prompt?", "value": "yes", "input": "yes"}
        assert await at.outputs("out") == {"value": "yes!"}
        assert list(ran) == ["a", "out"]


async def test_an_answer_that_comes_before_the_demand_gets_to_its_node_is_not_lost() -> None:
    door = Door()

    async def work(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await door.wait()
        return {"value": "prompt?"}

    async with bench(*types(Calls()), make_type("slow", work)) as at:
        at.open(graph({**ASKS, "a": "slow", "out": "shout"}, "a.value -> ask.prompt", "ask.value -> out.x"))
        demand = at.start("out", wait=True)
        await door.reached.wait()
        assert at.evaluator.answer(1, "ask", "early") == 0
        door.opened.set()
        assert (await at.sink.answer(demand)).outputs == {"value": "early!"}


async def test_another_answer_counts_for_later_demands_and_the_first_is_still_known() -> None:
    ran = Calls()
    async with bench(*types(ran)) as at:
        at.open(asking())
        for answer, expected in (("yes", 1), ("no", 2), ("yes", 2), ("yes", 2)):
            at.evaluator.answer(1, "ask", answer)
            assert await at.outputs("out") == {"value": f"{answer}!"}
            assert ran.count("out") == expected


async def test_an_edit_that_answers_otherwise_counts_and_any_other_leaves_the_answer() -> None:
    async with bench(*types(Calls())) as at:
        at.open(asking())
        at.evaluator.answer(1, "ask", "yes")
        for edits, expected in (
            ([{"set": "a", "data": {"x": "other prompt?"}}], "yes!"),
            ([{"set": "ask", "data": {"user_response": "yes"}}], "yes!"),
            ([{"set": "ask", "data": {"user_response": "edited"}}], "edited!"),
        ):
            edit(at, edits)
            assert await at.outputs("out") == {"value": expected}
        edit(at, [{"set": "ask", "data": {"user_response": None}}])
        assert await at.fails("out") == "waiting_for_input"
        at.evaluator.answer(1, "ask", "again")
        edit(at, [{"remove": "ask"}])
        edit(at, [{"put": {"id": "ask", "type": "human-input"}}])
        assert await at.fails("ask") == "waiting_for_input"


def edit(at: Bench, edits: list[dict[str, Any]]) -> None:
    at.evaluator.update(1, at.evaluator.edit(at.evaluator.sessions[1].graph, edits))


async def test_answers_of_two_sessions_are_not_mixed() -> None:
    async with bench(*types(Calls())) as at:
        for session, answer in ((1, "yes"), (2, "no")):
            at.open(asking(), session)
            demand = at.start("out", session=session, wait=True)
            await turns()
            at.evaluator.answer(session, "ask", answer)
            assert (await at.sink.answer(demand)).outputs == {"value": f"{answer}!"}
        at.open(asking(), 3)
        assert await at.fails("out", session=3) == "waiting_for_input"


async def test_the_demands_own_input_wins_and_data_answers_too() -> None:
    async with bench(*types(Calls())) as at:
        at.open(asking())
        at.evaluator.answer(1, "ask", "kept")
        assert await at.outputs("out", inputs={"ask": {"user_response": "own"}}) == {"value": "own!"}
        assert await at.outputs("out") == {"value": "kept!"}
        at.open(graph({"ask": ("human-input", {"default": 1, "auto_accept": True})}), 2)
        assert (await at.outputs("ask", session=2))["value"] == 1


async def test_two_questions_of_one_demand_are_asked_at_once_and_answered_in_any_order() -> None:
    async with bench(*types(Calls())) as at:
        both = graph({**ASKS, "other": "human-input", "m": "merge"}, "ask.value -> m.inputs", "other.value -> m.inputs")
        at.open(both)
        demand = at.start("m", wait=True, events=True)
        await turns()
        assert [node for node, event in at.sink.events(demand) if event["event"] == "waiting"].count("other") == 1
        at.evaluator.answer(1, "other", "two")
        await turns()
        at.evaluator.answer(1, "ask", "one")
        assert (await at.sink.answer(demand)).outputs == {"merged": "one\ntwo", "count": 2}


async def test_a_demand_that_waits_may_be_cancelled_or_come_to_its_deadline() -> None:
    async with bench(*types(Calls())) as at:
        at.open(asking())
        demand = at.start("out", wait=True)
        await turns()
        at.evaluator.cancel(demand)
        assert (await at.sink.answer(demand)).code == "cancelled"
        assert await at.fails("out", wait=True, deadline_ms=1) == "deadline_exceeded"
        assert at.evaluator.answer(1, "ask", "late") == 0


async def test_what_cannot_be_answered_is_refused() -> None:
    async with bench(*types(Calls())) as at:
        at.open(asking())
        for node, value, code in (
            ("nobody", 1, "unknown_node"),
            ("a", 1, "invalid_input"),
            ("ask", None, "invalid_input"),
        ):
            with pytest.raises((LookupFailed, NodeError)) as caught:
                at.evaluator.answer(1, node, value)
            assert caught.value.code == code
        with pytest.raises(LookupFailed) as unknown:
            at.evaluator.answer(9, "ask", 1)
        assert unknown.value.code == "unknown_session"


async def test_answers_are_restored_but_for_those_that_fit_no_node() -> None:
    async with bench(*types(Calls())) as at:
        at.open(asking())
        restore(at.evaluator.sessions[1], {"gone": 1, "a": 2, "ask": "yes"})
        assert await at.outputs("out") == {"value": "yes!"}
