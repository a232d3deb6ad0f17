"""What `plan` says would run is what then runs, on random graphs with random caches; and asking changes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.test_demand import KINDS, Drawn, asked, demands, graphs, types
from tests.support.evaluation import bench

from graphport.demand.memo import Memo
from graphport.demand.questions.planned import planned
from graphport.graph.plan import made

CERTAIN = ("plain", "later", "gather")


def without_doubt(drawn: Drawn) -> Drawn:
    """The same graph without gates, failures and content digests: all is known before it runs."""
    kinds = [kind if kind in CERTAIN else "plain" for kind in drawn.kinds]
    edges = []
    taken = set()
    for source, _, target, port in drawn.edges:
        single, multiple = KINDS[kinds[target]]
        if port in multiple or (port in single and (target, port) not in taken):
            taken.add((target, port))
            edges.append((source, "value", target, port))
    return Drawn(kinds, list(dict.fromkeys(edges)))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_is_planned_is_what_runs(data: st.DataObject) -> None:
    certain = data.draw(st.booleans())
    drawn = data.draw(graphs())
    drawn = without_doubt(drawn) if certain else drawn
    rows = data.draw(st.lists(demands(drawn), min_size=1, max_size=4))
    kept = data.draw(st.sampled_from([0, 2, 5, 1_000]))
    ran: list[int] = []

    async def run() -> None:
        async with bench(*types(ran), memo=Memo(max_entries=kept)) as b:
            b.open(drawn.to_json())
            for targets, own in rows:
                inputs = {f"n{place}": ports for place, ports in own.items()}
                ran.clear()
                before = list(b.evaluator.memo._results)
                session = b.evaluator.sessions[1]
                question = planned(b.evaluator, session, asked(targets), inputs=inputs, fresh=False, limit=100)
                answer = made(question)
                assert (ran, list(b.evaluator.memo._results)) == ([], before)
                check(answer, drawn, certain=certain)
                ended = await b.demand(asked(targets), inputs=inputs)
                compare(answer, {f"n{place}" for place in ran}, certain=certain, failed=ended.error is not None)

    asyncio.run(run())


def check(answer: dict[str, Any], drawn: Drawn, *, certain: bool) -> None:
    """Sources come first, and what is counted is listed."""
    states = [row["state"] for row in answer["nodes"]]
    assert {state: states.count(state) for state in answer["counts"]} == answer["counts"]
    if certain:
        assert answer["counts"]["depends"] == answer["counts"]["skipped"] == 0
    order = {row["node"]: place for place, row in enumerate(answer["nodes"])}
    for source, _, target, _ in drawn.edges:
        if f"n{source}" in order and f"n{target}" in order:
            assert order[f"n{source}"] < order[f"n{target}"]


def compare(answer: dict[str, Any], ran: set[str], *, certain: bool, failed: bool) -> None:
    """The executed nodes against those foreseen. A failure ends a demand early."""
    run = {row["node"] for row in answer["nodes"] if row["state"] == "run"}
    perhaps = {row["node"] for row in answer["nodes"] if row["state"] == "depends"}
    assert ran <= run | perhaps
    if not failed:
        assert run <= ran
    if certain:
        assert run == ran
