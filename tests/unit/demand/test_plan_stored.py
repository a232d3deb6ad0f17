"""`plan` beside a persistent store: what lies there is as good as cached, and stays where it lies."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.evaluation import Bench, bench, graph, make_type, many

from graphport.demand.questions.planned import planned
from graphport.server.answering import Answering
from graphport.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio

LINE = graph({"a": "slow", "m": "slow", "t": "slow"}, "a.value -> m.items", "m.value -> t.items")


async def slow(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"value": 1}


TYPE = make_type("slow", slow, inputs=[many("items")])


async def states(b: Bench, node: str, **inputs: Any) -> dict[str, str]:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    session = b.evaluator.sessions[1]
    Answering().add(planned(b.evaluator, session, node, inputs=inputs, fresh=False, limit=100), answer.set_result)
    return {row["node"]: row["state"] for row in (await answer)["nodes"]}


async def test_what_another_engine_stored_is_planned_as_cached_and_not_fetched() -> None:
    store = MemoryStore()
    async with bench(TYPE, store=store) as b:
        b.open(LINE)
        await b.outputs("m")
    async with bench(TYPE, store=store) as b:
        b.open(LINE)
        before = await states(b, "t")
        overridden = await states(b, "t", t={"items": [2]})
        assert len(b.evaluator.memo) == 0
        answer = await b.demand("t")

    assert before == {"m": "cached", "t": "run"}
    assert overridden == {"t": "run"}
    assert answer.meta["ran"] == 1
