"""Answers from the cache, packed once: each demand gets the message that it would have got anyway."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.evaluation import Calls, graph
from tests.support.wire import Wire

from graphport.demand.evaluator import Evaluator
from graphport.graph.catalogue import Catalogue
from graphport.server.outbox import Outbox

META = {"revision": 3, "us": 0, "ran": 0, "cached": True, "skipped": False}
OUTPUTS = st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(), st.lists(st.booleans())), max_size=3)


@given(st.integers(0, 2**63 - 1), st.text(max_size=40), OUTPUTS, st.integers(0, 2_000))
def test_a_prepared_answer_is_the_plain_one(demand: int, node: str, outputs: dict[str, Any], us: int) -> None:
    async def run() -> None:
        wire = Wire()
        box = Outbox(asyncio.get_running_loop(), wire)
        prepared = box.prepare(node, outputs, META)
        assert prepared is not None
        box.complete_prepared(demand, prepared, us)
        box.complete(demand, node, outputs, {**META, "us": us})
        box.flush()

        assert wire.messages[0] == wire.messages[1]
        assert list(wire.messages[0][4]) == list(META)

    asyncio.run(run())


@pytest.mark.anyio
@pytest.mark.parametrize("value", ["x" * 10_000, "\ud800"])
async def test_what_is_large_or_cannot_travel_is_not_prepared(value: str) -> None:
    assert Outbox(asyncio.get_running_loop(), Wire()).prepare("n", {"p": value}, META) is None


@pytest.mark.anyio
@pytest.mark.parametrize("value", [OrderedDict(text="x" * 2_000_000), [1 << 32_000] * 90], ids=["shell", "integers"])
async def test_what_is_longer_than_it_seems_still_goes_in_parts(value: Any) -> None:
    calls, wire = Calls(), Wire()
    catalogue = Catalogue()
    catalogue.register(calls.inline("long", lambda _inputs: {"value": value}))
    box = Outbox(asyncio.get_running_loop(), wire)
    evaluator = Evaluator(catalogue, box)
    evaluator.open(1, graph({"n": "long"}))
    for demand in range(1, 6):
        evaluator.demand(demand, 1, "n")
        evaluator.advance()
        for _ in range(20):
            box.flush()
            box.credited(wire.payload_bytes)
    await evaluator.close()

    assert {message[0] for message in wire.messages} == {"part"}
    assert {message[1] for message in wire.messages} == {1, 2, 3, 4, 5}


@pytest.mark.anyio
async def test_the_window_of_a_demand_answered_from_the_cache_is_closed() -> None:
    calls, wire = Calls(), Wire()
    catalogue = Catalogue()
    catalogue.register(calls.source())
    box = Outbox(asyncio.get_running_loop(), wire)
    evaluator = Evaluator(catalogue, box)
    evaluator.open(1, graph({"s": ("source", {"x": 1})}))
    for demand in range(1, 5):
        box.open_window(demand, 2)
        evaluator.demand(demand, 1, "s")
        evaluator.advance()
    box.flush()

    assert [message[1] for message in wire.messages] == [1, 2, 3, 4]
    assert not any(box.holds(demand) for demand in range(1, 5))
    await evaluator.close()


@pytest.mark.anyio
async def test_another_result_is_prepared_anew() -> None:
    calls, wire = Calls(), Wire()
    catalogue = Catalogue()
    catalogue.register(calls.source())
    box = Outbox(asyncio.get_running_loop(), wire)
    evaluator = Evaluator(catalogue, box)
    evaluator.open(1, graph({"s": ("source", {"x": 1})}))
    for demand in (1, 2, 3):
        evaluator.demand(demand, 1, "s")
        evaluator.advance()
    evaluator.memo.clear()
    for demand in (4, 5):
        evaluator.demand(demand, 1, "s")
        evaluator.advance()
    box.flush()
    await evaluator.close()

    assert [row[4]["cached"] for row in wire.messages] == [False, True, True, False, True]
    assert {row[3]["value"] for row in wire.messages} == {1}
