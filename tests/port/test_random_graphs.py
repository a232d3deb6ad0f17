"""Random graphs, edits and demands through the real pipe, held to the naive reference evaluator."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.port_client import PortClient
from tests.support.random_graphs import demands, edited, edits_between, graphs, targets_of
from tests.support.reference_evaluator import Knowledge, Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Their seeds are drawn in the engine.
UNKNOWN = ("seeded", "seeded-waits")


class Pipe:
    """An engine, and what the reference knows of its cache."""

    def __init__(self, client: PortClient) -> None:
        self.client = client
        self.knowledge = Knowledge()
        self.numbers = itertools.count(1)
        self.doubtful: set[int] = set()  # keys that a failed demand may have left in the cache

    def executed(self) -> Counter[tuple[str, int]]:
        answer = self.client.demand(next(self.numbers), "told", session=0)
        return Counter((kind, k) for kind, k in answer[3]["value"])

    def told(self, keys: Iterable[int]) -> Counter[tuple[str, int]]:
        what = map(self.knowledge.identities.__getitem__, keys)
        return Counter((kind, dict(given)["k"]) for kind, given in what)


@pytest.fixture(scope="module")
def pipe() -> Iterator[Pipe]:
    with PortClient("--nodes", "random_graph_nodes", folder=Path(__file__).parent) as client:
        client.hello()
        client.open({"nodes": [{"id": "told", "type": "executed"}]}, session=0)
        yield Pipe(client)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_demands_through_the_pipe_give_and_run_what_the_reference_says(pipe: Pipe, data: st.DataObject) -> None:
    session, graph = next(pipe.numbers), data.draw(graphs(without=UNKNOWN))
    pipe.client.open(graph.to_json(), session=session, req=session)
    for step in range(3):
        if step == 2:
            changed = data.draw(edited(graph, 1_000, without=UNKNOWN))
            req = next(pipe.numbers)
            pipe.client.send(["update", req, session, edits_between(graph, changed)])
            reply = pipe.client.until(lambda message, req=req: message[1] == req)  # type: ignore[misc]
            assert reply[2]["dirty"] == changed.dirty_since(graph)
            graph = changed
        target, own = data.draw(demands(graph))
        number = next(pipe.numbers)
        reference = Reference(graph, targets_of(graph, target), own, pipe.knowledge, number, lambda _: 0)
        answer = pipe.client.demand(number, target, session=session, inputs=own)  # type: ignore[arg-type]
        check(pipe, reference, target, answer)
    pipe.client.send(["close", next(pipe.numbers), session])


def check(pipe: Pipe, reference: Reference, target: Any, answer: list[Any]) -> None:
    ran, needed, surely = pipe.executed(), pipe.told(reference.ran), pipe.told(set(reference.ran) - pipe.doubtful)
    assert ran <= needed
    if reference.fails:
        assert (answer[0], answer[3]["code"]) == ("demand_error", "node_failed")
        pipe.doubtful.update(reference.ran)
        return
    outputs = reference.outputs()
    assert answer[0] == "demand_complete"
    assert answer[3] == (outputs[target] if isinstance(target, str) and target != "*" else outputs)
    assert surely <= ran
    reference.remember()
