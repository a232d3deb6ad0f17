"""Streamed outputs: in order, to whom it may concern, from the beginning, and nothing after the last message."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.evaluation import Calls, Door, bench, graph, make_type, many, streamed, turns

from graphport.demand import flight
from graphport.demand.threads import Mailbox

if TYPE_CHECKING:
    from graphport.contracts.node import NodeType
    from graphport.testing.sink import Answer

pytestmark = pytest.mark.anyio

WORDS = ["The ", "sky ", "is ", "blue."]


def speaker(execution: str, words: list[Any] = WORDS, **spec: Any) -> NodeType:
    """A node `speak` that streams words and returns them joined."""

    def on_thread(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        for word in words:
            ctx.stream("text", word)
        return {"text": "".join(map(str, words))}

    async def on_loop(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        for word in words:
            if execution == "async later":
                await asyncio.sleep(0)
            await ctx.stream("text", word)
        return {"text": "".join(map(str, words))}

    handler = on_thread if execution == "thread" else on_loop
    kind = "thread" if execution == "thread" else "async"
    return make_type("speak", handler, inputs=["x"], outputs=[streamed("text")], execution=kind, **spec)


def values(answer: Answer) -> list[Any]:
    return [chunk.value for chunk in answer.chunks]


each_way = pytest.mark.parametrize("execution", ["async", "async later", "thread"])


@each_way
async def test_chunks_come_in_order_and_before_the_answer(execution: str) -> None:
    async with bench(speaker(execution)) as b:
        b.open(graph({"s": "speak"}))

        answer = await b.demand("s", stream=True)

        assert values(answer) == WORDS
        assert {(chunk.node, chunk.port) for chunk in answer.chunks} == {("s", "text")}
        assert answer.outputs == {"text": "The sky is blue."}


@each_way
async def test_who_did_not_ask_gets_no_chunk(execution: str) -> None:
    async with bench(speaker(execution)) as b:
        b.open(graph({"s": "speak"}))

        assert not (await b.demand("s")).chunks
        assert not (await b.demand("s", stream=frozenset({"other"}))).chunks
        assert not (await b.demand("s", stream=frozenset())).chunks


async def test_a_list_of_nodes_streams_those() -> None:
    async with bench(speaker("async"), Calls().total()) as b:
        joined = make_type("join", lambda inputs, _c: {"value": "|".join(inputs["items"])}, inputs=[many("items")])
    async with bench(speaker("async"), joined) as b:
        b.open(
            graph(
                {"one": ("speak", {"x": 1}), "two": ("speak", {"x": 2}), "j": "join"},
                "one.text -> j.items",
                "two.text -> j.items",
            )
        )

        two = await b.demand("j", stream=frozenset({"two"}))
        both = await b.demand("j", stream=frozenset({"two", "one"}))

        assert two.text() == two.text("two") == "The sky is blue."
        assert both.text("one") == both.text("two") == "The sky is blue."


@each_way
async def test_a_cached_node_repeats_what_it_streamed(execution: str) -> None:
    async with bench(speaker(execution)) as b:
        b.open(graph({"s": "speak"}))
        await b.demand("s")

        answer = await b.demand("s", stream=True)

        assert answer.meta["cached"]
        assert answer.text() == "The sky is blue."


async def test_a_cached_node_upstream_repeats_what_it_streamed() -> None:
    joined = make_type("join", lambda inputs, _c: {"value": "|".join(inputs["items"])}, inputs=[many("items")])
    for digest in (False, True):
        async with bench(speaker("async", content_digest=digest), joined) as b:
            b.open(graph({"s": "speak", "j": "join"}, "s.text -> j.items"))
            await b.demand("j")

            assert (await b.demand("j", stream=True)).text() == "The sky is blue."


async def test_a_long_text_is_repeated_in_pieces_of_at_most_64_kib() -> None:
    word = "ü€😀x" * 1_000
    async with bench(speaker("async", [word] * 60)) as b:
        b.open(graph({"s": "speak"}))
        first = await b.demand("s", stream=True)

        again = await b.demand("s", stream=True)

        assert again.text() == first.text() == word * 60
        assert max(len(value.encode()) for value in values(again)) <= 65_536
        assert len(again.chunks) < 60


async def test_chunks_that_are_no_text_are_repeated_as_they_were() -> None:
    words: list[Any] = ["a", "b", {"n": 1}, "c", b"x", "d", "e"]
    async with bench(speaker("async", words)) as b:
        b.open(graph({"s": "speak"}))
        await b.demand("s")

        assert values(await b.demand("s", stream=True)) == ["ab", {"n": 1}, "c", b"x", "de"]


async def test_empty_text_is_not_repeated() -> None:
    words: list[Any] = ["", 1, "", "a", ""]
    async with bench(speaker("async", words)) as b:
        b.open(graph({"s": "speak"}))
        await b.demand("s")

        assert values(await b.demand("s", stream=True)) == [1, "a"]


async def test_a_latecomer_gets_the_beginning() -> None:
    door = Door()

    async def speak(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await ctx.stream("text", "one ")
        await ctx.stream("text", "two ")
        await door.wait()
        await ctx.stream("text", "three")
        return {"text": "one two three"}

    async with bench(make_type("speak", speak, outputs=[streamed("text")])) as b:
        b.open(graph({"s": "speak"}))
        first = b.start("s", stream=True)
        await door.reached.wait()
        late, deaf = b.start("s", stream=True), b.start("s")
        await b.sink.streamed(late)
        door.opened.set()

        assert (await b.sink.answer(late)).text() == (await b.sink.answer(first)).text() == "one two three"
        assert not (await b.sink.answer(deaf)).chunks
        assert door.entries == 1


@pytest.mark.parametrize("execution", ["async", "thread"])
async def test_nothing_follows_the_last_message_of_a_cancelled_demand(execution: str) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_thread(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        try:
            while True:
                ctx.stream("text", "x")
        finally:
            loop.call_soon_threadsafe(stopped.set)

    async def on_loop(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        try:
            while True:
                await ctx.stream("text", "x")
                await asyncio.sleep(0)
        finally:
            await ctx.stream("text", "after the cancel")
            stopped.set()

    handler = on_thread if execution == "thread" else on_loop
    async with bench(make_type("speak", handler, outputs=[streamed("text")], execution=execution)) as b:
        b.open(graph({"s": "speak"}))
        demand = b.start("s", stream=True)
        await b.sink.streamed(demand, 10)

        b.evaluator.cancel(demand)
        await stopped.wait()
        await turns()

        answer = await b.sink.answer(demand)
        assert answer.code == "cancelled"
        assert len(b.sink.chunks(demand)) == len(answer.chunks)


@pytest.mark.parametrize("execution", ["async", "thread"])
async def test_a_node_is_held_back_while_the_receiver_is_behind(execution: str) -> None:
    words = ["x"] * 5_000
    async with bench(speaker(execution, words)) as b:
        b.open(graph({"s": "speak"}))
        b.sink.hold()
        demand = b.start("s", stream=True)
        await b.sink.streamed(demand)
        await turns(50)

        behind = len(b.sink.chunks(demand))
        b.sink.release()

        assert behind <= 1_000
        assert len((await b.sink.answer(demand)).chunks) == 5_000


async def test_a_thread_that_is_held_back_learns_of_its_cancel() -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def speak(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        try:
            while True:
                ctx.stream("text", "x")
        finally:
            loop.call_soon_threadsafe(ended.set)

    async with bench(make_type("speak", speak, outputs=[streamed("text")], execution="thread")) as b:
        b.open(graph({"s": "speak"}))
        b.sink.hold()
        demand = b.start("s", stream=True)
        await b.sink.streamed(demand)
        b.evaluator.cancel(demand)

        await ended.wait()
        b.sink.release()


async def test_a_node_that_only_streams_leaves_the_loop_its_turns() -> None:
    sent: list[int] = []

    async def speak(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        while True:
            assert len(sent) < 1_000_000, "the loop got no turn"
            sent.append(1)
            await ctx.stream("text", "x")

    async with bench(make_type("speak", speak, outputs=[streamed("text")])) as b:
        b.open(graph({"s": "speak"}))
        demand = b.start("s")
        await turns(3)
        b.evaluator.cancel(demand)

        assert (await b.sink.answer(demand)).code == "cancelled"


async def test_a_node_that_streams_and_fails_is_not_repeated() -> None:
    attempts: list[int] = []

    async def speak(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        attempts.append(1)
        await ctx.stream("text", f"attempt {len(attempts)}")
        if len(attempts) == 1:
            raise ValueError
        return {"text": "done"}

    async with bench(make_type("speak", speak, outputs=[streamed("text")])) as b:
        b.open(graph({"s": "speak"}))

        assert (await b.demand("s", stream=True)).text() == "attempt 1"
        assert (await b.demand("s", stream=True)).text() == "attempt 2"


async def test_a_volatile_node_streams_to_each_demand_its_own() -> None:
    async with bench(speaker("async", effect="volatile")) as b:
        b.open(graph({"s": "speak"}))

        for _ in range(2):
            answer = await b.demand("s", stream=True)
            assert answer.text() == "The sky is blue."
            assert not answer.meta["cached"]


async def test_threads_that_talk_without_end_leave_the_loop_its_turns() -> None:
    loop = asyncio.get_running_loop()
    mailbox = Mailbox(loop)
    posted: list[int] = []

    def post_again() -> None:
        posted.append(1)
        assert len(posted) < 1_000, "the loop got no other turn"
        if not done.is_set():
            mailbox.post(post_again)

    done = threading.Event()
    mailbox.post(post_again)
    await turns(20)
    done.set()
    await turns()

    assert posted


async def test_a_thread_whose_receiver_is_behind_holds_back_no_other() -> None:
    async with bench(speaker("thread", [str(number) for number in range(1_000)], effect="volatile")) as b:
        b.open(graph({"s": "speak"}))
        b.sink.hold(1)
        behind = b.start("s", stream=True)
        await b.sink.streamed(behind, 10)

        other = await b.demand("s", stream=True)

        assert len(other.chunks) == 1_000
        assert b.sink.get(behind) is None
        b.sink.release()
        assert len((await b.sink.answer(behind)).chunks) == 1_000


async def test_a_thread_is_ahead_of_its_receiver_by_few_bytes_not_by_many_chunks() -> None:
    sent: list[int] = []

    def large(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        for number in range(20):
            ctx.stream("text", bytes(5_000_000))
            sent.append(number)
        return {"text": ""}

    kind = make_type("large", large, outputs=[streamed("text")], execution="thread", effect="volatile")
    async with bench(kind) as b:
        b.open(graph({"s": "large"}))
        b.sink.hold(1)
        behind = b.start("s", stream=True)
        await b.sink.streamed(behind, 1)
        await turns(50)
        assert len(sent) <= 2

        b.sink.release()

        assert len((await b.sink.answer(behind)).chunks) == 20


async def test_a_stream_too_long_to_be_repeated_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight, "_REMEMBERED_BYTES", 500)
    async with bench(speaker("async later", ["x" * 50] * 20)) as b:
        b.open(graph({"s": "speak"}))

        first = await b.demand("s", stream=True)
        again = await b.demand("s", stream=True)

        assert first.text() == again.text() == "x" * 1_000
        assert not again.meta["cached"]
