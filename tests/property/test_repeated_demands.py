"""Demands known by their bytes against the same ones read anew: conversations that differ in how numbers are written.

The BEAM writes a demand's number in eight bytes, and only then can one be known again. The same conversation with
numbers as short as can be is therefore always read; both must be answered alike, message by message.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from tests.support.evaluation import Calls, graph, make_type
from tests.support.wire import Wire, packed

from graphport.demand.evaluator import Evaluator
from graphport.graph.catalogue import Catalogue
from graphport.server.connection import Connection
from graphport.server.outbox import Outbox
from graphport.server.repeats import Repeats
from graphport.wire.codec import pack
from graphport.wire.framing import join, lone
from graphport.wire.messages import DemandAsync

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OPTIONS: list[dict[str, Any]] = [
    {},
    {"stream": True},
    {"stream": ["s"]},
    {"deadline_ms": 60_000},
    {"inputs": {"s": {"x": 5}}},
    {"fresh": True},
    {"window": 2, "stream": True},
    {"provenance": True},
    {"events": True},
    {"trace": True},
]
numbers = st.integers(1, 6)
TARGETS = ("s", "t", "*", ["s", "t"], "waits", "none")
demands = st.tuples(
    st.just("demand_async"),
    numbers,
    st.sampled_from((1, 1, 1, 2)),
    st.sampled_from(TARGETS),
    st.sampled_from(OPTIONS),
)
others = st.one_of(
    st.tuples(st.just("close"), st.just(100), st.integers(1, 2)),
    st.tuples(st.just("open"), st.just(101), st.integers(1, 3), st.just("GRAPH"), st.just({})),
    st.tuples(
        st.just("update"),
        st.just(102),
        st.integers(1, 2),
        st.builds(lambda x: [{"set": "s", "data": {"x": x}}], st.integers(0, 2)),
    ),
    st.tuples(st.just("cancel"), numbers),
    st.tuples(st.just("ping"), st.just(7)),
    st.tuples(st.just("demand_async"), numbers, st.just(1)),  # too few fields
)
# The same ones come again and again, as they do in an app.
conversations = st.lists(st.one_of(demands, demands, others), min_size=1, max_size=6).flatmap(
    lambda some: st.lists(st.sampled_from(some), min_size=1, max_size=25)
)


async def wait_for_ever(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]


def without_times(message: Any) -> Any:
    """Credits differ, for they count bytes; so do times, and ids of runs."""
    if message[0] == "credit":
        return None
    if message[0] in ("demand_complete", "node_event"):
        told = {name: name in ("us", "provenance") or value for name, value in message[-1].items()}
        return [*message[:-1], told]
    return message


def answers(
    conversation: Sequence[tuple[Any, ...] | bytes], written: Callable[[list[Any]], bytes]
) -> tuple[list[Any], int]:
    async def run() -> tuple[list[Any], int]:
        wire, calls = Wire(), Calls()
        catalogue = Catalogue()
        catalogue.register(calls.source())
        catalogue.register(calls.inline("twice", lambda inputs: {"value": 2 * inputs["x"]}, inputs=["x"]))
        catalogue.register(make_type("waits", wait_for_ever))
        evaluator = Evaluator(catalogue, outbox := Outbox(asyncio.get_running_loop(), wire))
        again = evaluator.answer_again
        taken = 0

        def counted(*args: Any) -> bool:
            nonlocal taken
            done = again(*args)
            taken += done
            return done

        evaluator.answer_again = counted  # type: ignore[method-assign,assignment]
        connection = Connection(outbox, lambda _options: evaluator, lambda _status: None)
        source = graph({"s": ("source", {"x": 1}), "t": "twice", "waits": "waits"}, "s.value -> t.x")
        connection.received(lone(pack(["hello", {"protocol": 1}])))
        connection.received(lone(pack(["open", 99, 1, source, {}])))
        for message in conversation:
            if isinstance(message, bytes):
                connection.received(lone(message))
            else:
                fields = [source if field == "GRAPH" else field for field in message]
                connection.received(lone(written(fields)))
        await asyncio.sleep(0)
        outbox.flush()
        await evaluator.close()
        outbox.flush()
        return [without_times(message) for message in wire.messages], taken

    return asyncio.run(run())


@given(conversations)
def test_a_demand_known_by_its_bytes_is_answered_as_if_it_was_read(conversation: list[tuple[Any, ...]]) -> None:
    known, taken = answers(conversation, packed)
    read, none = answers(conversation, pack)

    event(f"known: {min(taken, 3)}")
    assert none == 0
    assert known == read


@pytest.mark.parametrize("target", ["s", "t", "*", ["s", "t"], "none"], ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_whatever_is_asked_again_is_answered_as_if_it_was_read(options: dict[str, Any], target: Any) -> None:
    plain: tuple[Any, ...] = ("demand_async", 1, 1, target, {})
    conversation = [plain, plain, *[("demand_async", number, 1, target, options) for number in (2, 3, 4)]]

    assert answers(conversation, packed)[0] == answers(conversation, pack)[0]


def test_a_number_that_is_open_is_refused_also_for_what_was_asked_before() -> None:
    s: tuple[Any, ...] = ("demand_async", 1, 1, "s", {})
    conversation = [s, s, ("demand_async", 1, 1, "waits", {}), s, ("cancel", 1), s]
    told, taken = answers(conversation, packed)

    assert taken == 2
    assert told == answers(conversation, pack)[0]
    assert [message[2]["code"] for message in told if message[0] == "error"] == ["duplicate_id"]


def test_a_number_beyond_63_bits_is_refused_also_for_what_was_asked_before() -> None:
    s: tuple[Any, ...] = ("demand_async", 1, 1, "s", {})
    told, taken = answers([s, s, ("demand_async", 2**63, 1, "s", {})], packed)

    assert taken == 1
    assert told[-1][0] == "error"
    assert told[-1][2]["code"] == "bad_message"


@pytest.mark.anyio
async def test_an_engine_that_is_stopping_refuses_what_it_has_in_its_cache() -> None:
    wire, calls = Wire(), Calls()
    catalogue = Catalogue()
    catalogue.register(calls.source())
    evaluator = Evaluator(catalogue, outbox := Outbox(asyncio.get_running_loop(), wire))
    connection = Connection(outbox, lambda _options: evaluator, lambda _status: None)
    connection.received(lone(pack(["hello", {"protocol": 1}])))
    connection.received(lone(pack(["open", 99, 1, graph({"s": ("source", {"x": 1})}), {}])))
    for number in (1, 2):
        connection.received(lone(packed(["demand_async", number, 1, "s", {}])))
    await evaluator.close()
    connection.received(lone(packed(["demand_async", 3, 1, "s", {}])))

    assert [message[0] for message in wire.messages[-3:]] == ["demand_complete", "demand_complete", "demand_error"]
    assert wire.messages[-1][3]["code"] == "shutting_down"


def test_of_many_different_demands_the_latest_are_known() -> None:
    known = Repeats(None, lambda _number: False, lambda _session: False)  # type: ignore[arg-type]
    for session in range(10_000):
        known.note(packed(["demand_async", 1, session, "n", {}]), DemandAsync(1, session, "n"))

    assert len(known) == 4_096
    assert packed(["demand_async", 7, 9_999, "n", {}]) in known
    assert packed(["demand_async", 7, 0, "n", {}]) not in known


def test_what_begins_like_another_message_is_read() -> None:
    """Only the head says that it is a demand: what follows a number could stand in other messages too."""
    demand = packed(["demand_async", 1, 1, "s", {}])
    other = demand.replace(b"demand_async", b"demand_asynk")
    again: list[tuple[Any, ...]] = [("demand_async", 1, 1, "s", {})] * 2
    told, _taken = answers([*again, other], packed)

    assert [message[0] for message in told].count("demand_complete") == 2
    assert told[-1][0] == "error"
    assert told[-1][2]["code"] == "bad_message"


def test_a_repeated_demand_is_known() -> None:
    once = ("demand_async", 1, 1, "t", {"stream": True})
    told, taken = answers([once] * 4, packed)

    assert taken == 3
    assert [message[3] for message in told if message[0] == "demand_complete"] == [{"value": 2}] * 4


def test_what_is_asked_in_a_batch_is_answered() -> None:
    """A batch is not one demand, and says so with its first byte."""

    async def run() -> list[Any]:
        wire, calls = Wire(), Calls()
        catalogue = Catalogue()
        catalogue.register(calls.source())
        evaluator = Evaluator(catalogue, outbox := Outbox(asyncio.get_running_loop(), wire))
        connection = Connection(outbox, lambda _options: evaluator, lambda _status: None)
        connection.received(lone(pack(["hello", {"protocol": 1}])))
        connection.received(lone(pack(["open", 99, 1, graph({"s": ("source", {"x": 1})}), {}])))
        one, another = (packed(["demand_async", number, 1, "s", {}]) for number in (3, 4))
        for _ in range(2):
            pieces, _size = join([one, another])
            connection.received(b"".join(pieces))
            connection.received(lone(one))
        await evaluator.close()
        return [message for message in wire.messages if message[0] == "demand_complete"]

    assert [message[1] for message in asyncio.run(run())] == [3, 4, 3] * 2
