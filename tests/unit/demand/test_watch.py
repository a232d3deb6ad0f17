"""A watch: what it tells, when it evaluates again, what goes on meanwhile, and how it ends."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from tests.support.evaluation import Bench, Calls, Door, bench, graph, make_type, many, streamed, turns, until

pytestmark = pytest.mark.anyio


def update(made: Bench, *edits: dict[str, Any]) -> list[str]:
    edited = made.evaluator.edit(made.evaluator.session(1).graph, edits)
    made.evaluator.update(1, edited)
    return edited.dirty


def setting(node: str, x: Any) -> dict[str, Any]:
    return {"set": node, "data": {"x": x}}


def pair() -> dict[str, Any]:
    return graph({"a": ("source", {"x": 1}), "b": ("source", {"x": 2}), "end": "total"}, "a.value -> end.items")


async def test_a_watch_tells_at_once_and_after_each_edit_that_concerns_it() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(pair())
        watch = made.start("end", watch=True)
        first = await made.sink.tells(watch)
        assert (first.outputs, first.meta["revision"]) == ({"value": 2}, 1)

        update(made, setting("b", 7))
        update(made, setting("a", 5))
        second = await made.sink.tells(watch, 2)

        assert (second.outputs, second.meta["revision"]) == ({"value": 6}, 3)
        assert calls == ["a", "end", "a", "end"]
        assert made.sink.get(watch) is None
        made.evaluator.cancel(watch)
        assert made.sink.get(watch).code == "cancelled"  # type: ignore[union-attr]


async def test_what_has_not_changed_is_not_told_again() -> None:
    calls = Calls()
    sign = calls.inline("sign", lambda inputs: {"value": inputs["x"] > 0}, inputs=["x"])
    async with bench(sign) as made:
        made.open(graph({"sign": ("sign", {"x": 1})}))
        watch = made.start("sign", watch=True)
        await made.sink.tells(watch)

        update(made, setting("sign", 2))
        await until(lambda: len(calls) == 2)
        update(made, setting("sign", -1))

        assert (await made.sink.tells(watch, 2)).outputs == {"value": False}
        assert len(made.sink.told(watch)) == 2


async def test_a_burst_of_edits_gives_few_evaluations_and_one_of_the_last_revision() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(pair())
        watch = made.start("end", watch=True)
        await made.sink.tells(watch)

        for x in range(1_000):
            update(made, setting("a", 100 + x))
        last = await made.sink.tells(watch, 2)

        assert (last.outputs, last.meta["revision"]) == ({"value": 1_100}, 1_001)
        assert calls == ["a", "end", "a", "end"]


async def test_an_evaluation_that_fails_is_told_and_the_watch_goes_on() -> None:
    def risky(inputs: dict[str, Any], _: Any) -> dict[str, Any]:
        return {"value": 10 // inputs["x"]}

    async with bench(make_type("risky", risky, inputs=["x"])) as made:
        made.open(graph({"n": ("risky", {"x": 5})}))
        watch = made.start("n", watch=True)
        await made.sink.tells(watch)

        update(made, setting("n", 0))
        assert (await made.sink.tells(watch, 2)).code == "node_failed"
        update(made, setting("n", 5))

        assert (await made.sink.tells(watch, 3)).outputs == {"value": 2}


async def test_a_node_that_is_removed_fails_until_it_is_put_again() -> None:
    calls = Calls()
    async with bench(calls.source()) as made:
        made.open(graph({"a": ("source", {"x": 1})}))
        watch = made.start("a", watch=True)
        await made.sink.tells(watch)

        update(made, {"remove": "a"})
        assert (await made.sink.tells(watch, 2)).code == "unknown_node"
        update(made, {"put": {"id": "a", "type": "source", "data": {"x": 1}}})

        assert (await made.sink.tells(watch, 3)).outputs == {"value": 1}


async def test_all_sinks_are_watched_as_they_come_and_go() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(graph({"a": ("source", {"x": 1})}))
        watch = made.start("*", watch=True)
        assert (await made.sink.tells(watch)).outputs == {"a": {"value": 1}}

        update(made, {"put": {"id": "b", "type": "source", "data": {"x": 2}}})
        assert (await made.sink.tells(watch, 2)).outputs == {"a": {"value": 1}, "b": {"value": 2}}
        update(made, {"remove": "a"})

        assert (await made.sink.tells(watch, 3)).outputs == {"b": {"value": 2}}
        assert calls == ["a", "b"]


async def test_a_sink_in_place_of_another_that_gives_the_same() -> None:
    calls = Calls()
    async with bench(calls.source()) as made:
        made.open(graph({"a": ("source", {"x": 1})}))
        watch = made.start("*", watch=True)
        await made.sink.tells(watch)

        update(made, {"remove": "a"}, {"put": {"id": "b", "type": "source", "data": {"x": 1}}})

        assert (await made.sink.tells(watch, 2)).outputs == {"b": {"value": 1}}
        assert calls == ["a"]


async def test_several_nodes_are_watched_together() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(pair())
        watch = made.start(["b", "end"], watch=True)
        await made.sink.tells(watch)

        update(made, setting("b", 3))

        assert (await made.sink.tells(watch, 2)).outputs == {"b": {"value": 3}, "end": {"value": 2}}


async def test_a_watch_with_inputs_of_its_own() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(pair())
        watch = made.start("end", watch=True, inputs={"a": {"x": 10}})
        assert (await made.sink.tells(watch)).outputs == {"value": 11}

        update(made, setting("a", 5))
        await until(lambda: calls.count("a") == 2)
        update(made, {"connect": {"source": "b", "source_handle": "value", "target": "end", "target_handle": "items"}})
        assert (await made.sink.tells(watch, 2)).outputs == {"value": 13}
        update(made, {"put": {"id": "a", "type": "total"}})

        assert (await made.sink.tells(watch, 3)).code == "invalid_input"


def slow(door: Door, name: str = "slow") -> Any:
    async def wait(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await door.wait()
        return {"value": inputs["x"]}

    return make_type(name, wait, inputs=["x"])


def slow_and_quick() -> dict[str, Any]:
    return graph(
        {"slow": ("slow", {"x": 1}), "a": ("source", {"x": 1}), "end": "total"},
        "slow.value -> end.items",
        "a.value -> end.items",
    )


def waits_for(made: Bench, revisions: set[int]) -> bool:
    """Whether runs of these revisions wait for executions, and no others."""
    waiting = {run.graph.revision for flight in made.evaluator.flights.values() for run, _ in flight.waiters}
    return waiting == revisions


async def test_what_an_edit_does_not_reach_goes_on_and_is_not_begun_again() -> None:
    door, calls = Door(), Calls()
    async with bench(slow(door), calls.source(), calls.total()) as made:
        made.open(slow_and_quick())
        watch = made.start("end", watch=True)
        await door.reached.wait()

        for x in (2, 3, 4):
            update(made, setting("a", x))
            await until(partial(waits_for, made, {x, x - 1}))
        door.opened.set()

        assert (await made.sink.tells(watch)).outputs == {"value": 6}
        assert door.entries == 1
        assert len(made.sink.told(watch)) == 1


async def test_what_an_edit_makes_outdated_is_cancelled() -> None:
    door, calls = Door(), Calls()
    async with bench(slow(door), calls.source(), calls.total()) as made:
        made.open(slow_and_quick())
        watch = made.start("end", watch=True)
        await door.reached.wait()
        (flight,) = made.evaluator.flights.values()

        update(made, setting("slow", 2))
        await until(lambda: flight.cancelled)
        await until(lambda: door.entries == 2)
        door.opened.set()

        assert (await made.sink.tells(watch)).outputs == {"value": 4}


async def test_what_another_demand_wants_goes_on_though_the_watch_wants_it_no_more() -> None:
    door, calls = Door(), Calls()
    async with bench(slow(door), calls.source(), calls.total()) as made:
        made.open(slow_and_quick())
        watch = made.start("end", watch=True)
        other = made.start("slow")
        await door.reached.wait()

        update(made, setting("slow", 2))
        await until(lambda: door.entries == 2)
        door.opened.set()

        assert (await made.sink.answer(other)).outputs == {"value": 1}
        assert (await made.sink.tells(watch)).outputs == {"value": 4}


@pytest.mark.parametrize("end", ["cancel", "close", "abandon"])
async def test_the_end_of_a_watch_ends_its_work(end: str) -> None:
    door, calls = Door(), Calls()
    async with bench(slow(door), calls.source(), calls.total()) as made:
        made.open(slow_and_quick())
        watch = made.start("end", watch=True)
        await door.reached.wait()
        update(made, setting("a", 2))

        if end == "cancel":
            made.evaluator.cancel(watch)
        elif end == "close":
            made.evaluator.close_session(1)
        else:
            made.evaluator.abandon(watch)

        assert not made.evaluator.flights
        assert not made.evaluator.runs
        assert not made.evaluator.watches
        await turns(50)
        answer = made.sink.get(watch)
        assert (answer and answer.code) == (None if end == "abandon" else "cancelled")
        assert made.sink.told(watch) == []


async def test_a_deadline_ends_a_watch() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(pair())
        watch = made.start("end", watch=True, deadline_ms=30)

        assert (await made.sink.answer(watch)).code == "deadline_exceeded"
        assert (await made.sink.tells(watch)).outputs == {"value": 2}
        update(made, setting("a", 5))
        await turns(50)
        assert len(made.sink.told(watch)) == 1


async def test_an_engine_that_stops_ends_its_watches() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(pair())
        watch = made.start("end", watch=True)
        await made.evaluator.close()

        assert made.sink.get(watch).code == "shutting_down"  # type: ignore[union-attr]


async def test_a_watch_of_what_is_not_there_is_refused() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(pair())

        assert await made.fails("nope", watch=True) == "unknown_node"
        assert await made.fails("end", watch=True, inputs={"nope": {"x": 1}}) == "unknown_node"
        assert await made.fails("end", watch=True, session=9) == "unknown_session"
        assert not made.evaluator.watches


def speaker(door: Door) -> Any:
    async def speak(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await ctx.stream("text", inputs["x"])
        await door.wait()
        await ctx.stream("text", "!")
        return {"text": inputs["x"] + "!"}

    return make_type("speak", speak, inputs=["x"], outputs=[streamed("text")])


async def test_chunks_of_an_outdated_evaluation_stop() -> None:
    door = Door()
    async with bench(speaker(door)) as made:
        made.open(graph({"n": ("speak", {"x": "old"})}))
        watch = made.start("n", watch=True, stream=True)
        await made.sink.streamed(watch)

        update(made, setting("n", "new"))
        door.opened.set()
        await made.sink.tells(watch)

        assert [chunk.value for chunk in made.sink.chunks(watch)] == ["old", "new", "!"]


async def test_a_stream_that_was_sent_is_not_sent_again_for_an_edit_beside_it() -> None:
    door, calls = Door(), Calls()
    door.opened.set()
    join = make_type("join", lambda i, _: {"value": "".join(map(str, i["items"]))}, inputs=[many("items")])
    async with bench(speaker(door), calls.source(), join) as made:
        made.open(
            graph(
                {"n": ("speak", {"x": "said"}), "a": ("source", {"x": 1}), "end": "join"},
                "n.text -> end.items",
                "a.value -> end.items",
            )
        )
        watch = made.start("end", watch=True, stream=True)
        assert (await made.sink.tells(watch)).outputs == {"value": "said!1"}

        update(made, setting("a", 2))
        assert (await made.sink.tells(watch, 2)).outputs == {"value": "said!2"}

        assert [chunk.value for chunk in made.sink.chunks(watch)] == ["said", "!"]


async def test_events_tell_where_an_evaluation_begins() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(pair())
        watch = made.start("a", watch=True, events=True)
        await made.sink.tells(watch)
        update(made, setting("a", 5))
        await made.sink.tells(watch, 2)

        assert [event["event"] for _, event in made.sink.events(watch)] == ["planned", "started", "completed"] * 2


async def test_a_demand_goes_beside_a_watch_of_the_same_node() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as made:
        made.open(pair())
        watch = made.start("end", watch=True)
        await made.sink.tells(watch)

        assert (await made.demand("end")).meta["cached"]
        update(made, setting("a", 5))
        assert await made.outputs("end") == {"value": 6}
        assert (await made.sink.tells(watch, 2)).outputs == {"value": 6}
        assert calls == ["a", "end"] * 2


async def test_an_answer_of_a_person_is_seen() -> None:
    async with bench() as made:
        made.open(graph({"asked": "human-input"}))
        watch = made.start("asked", watch=True)
        assert (await made.sink.tells(watch)).code == "waiting_for_input"

        made.evaluator.answer(1, "asked", "yes")
        assert ((await made.sink.tells(watch, 2)).outputs or {})["value"] == "yes"
        made.evaluator.answer(1, "asked", "no")

        assert ((await made.sink.tells(watch, 3)).outputs or {})["value"] == "no"
