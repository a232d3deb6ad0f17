"""Random graphs with gates, merges and failures, demanded in random ways, against a naive recursive evaluator.

One node is demanded or several, with events or without.

The same outputs, whatever the cache still holds; each node run at most once in a demand; nothing run that the demand
does not need, and with an empty cache everything that it does need.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.support.evaluation import Bench, bench, make_type, many

from graphport.demand.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.contracts.node import NodeType
    from graphport.testing.sink import Answer

# Kind of node to its single ports and its ports of many. All have a port `k`, which makes each node one of its own.
KINDS: Final = {
    "plain": (("a", "b"), ()),
    "later": (("a", "b"), ()),
    "digest": (("a",), ("many",)),
    "gather": ((), ("many", "more")),
    "gate": (("a", "b"), ()),
    "risky": (("a",), ("many",)),
}
OUTPUTS: Final = dict.fromkeys(KINDS, ("value",)) | {"gate": ("yes", "no")}


def number(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(number, value)) + len(value)
    return 0 if value is None else int(value)


def compute(kind: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """What a node of that kind returns; shared by the nodes and by the reference."""
    total = number(inputs["k"]) + sum((place + 2) * number(inputs[port]) for place, port in enumerate(ports(kind)))
    if kind == "risky" and total % 5 == 0:
        raise ValueError(total)
    if kind == "gate":
        return {"yes" if number(inputs["a"]) % 2 else "no": number(inputs["b"])}
    return {"value": total % (3 if kind == "digest" else 1_009)}


def ports(kind: str) -> tuple[str, ...]:
    single, multiple = KINDS[kind]
    return single + multiple


@dataclass
class Drawn:
    """A graph: kinds by place, and edges `(source, output, target, port)`, sources first."""

    kinds: list[str]
    edges: list[tuple[int, str, int, str]]

    def into(self, place: int, given: dict[int, dict[str, Any]]) -> list[tuple[int, str, str]]:
        """Edges into a node that the demand does not override."""
        own = given.get(place, {})
        return [(source, out, port) for source, out, target, port in self.edges if target == place and port not in own]

    def to_json(self) -> dict[str, Any]:
        return {
            "nodes": [{"id": f"n{place}", "type": kind, "data": {"k": place}} for place, kind in enumerate(self.kinds)],
            "edges": [
                {"source": f"n{source}", "source_handle": out, "target": f"n{target}", "target_handle": port}
                for source, out, target, port in self.edges
            ],
        }

    def in_doubt(self, place: int) -> bool:
        """Whether a gate stands before the node, or is it."""
        return self.kinds[place] == "gate" or any(self.in_doubt(source) for source, _, _ in self.into(place, {}))


@dataclass
class Reference:
    """The naive evaluator of one demand.

    Attributes:
        must: nodes that have to run if nothing is known.
        may: nodes that are allowed to run.
        failing: a node that failed.
    """

    graph: Drawn
    given: dict[int, dict[str, Any]]
    must: set[int] = field(default_factory=set)
    may: set[int] = field(default_factory=set)
    failing: bool = False
    _known: dict[int, dict[str, Any] | None] = field(default_factory=dict)

    def value(self, place: int) -> dict[str, Any] | None:
        """Outputs of a node, or None if it is skipped."""
        if place not in self._known:
            self._known[place] = self._evaluate(place)
        return self._known[place]

    def _evaluate(self, place: int) -> dict[str, Any] | None:
        graph, kind = self.graph, self.graph.kinds[place]
        edges = graph.into(place, self.given)
        _, multiple = KINDS[kind]
        sound = Reference(graph, self.given)
        sound._known = self._known  # the same values; what it needs is noted only if the node is not skipped
        incoming = [(source, sound.value(source), out, port) for source, out, port in edges]
        live = [outputs is not None and out in outputs for _, outputs, out, _ in incoming]
        dead_single = any(
            not alive and port not in multiple for alive, (_, _, _, port) in zip(live, incoming, strict=True)
        )
        if edges and (dead_single or not any(live)):
            return None
        inputs: dict[str, Any] = {"k": place} | {port: [] if port in multiple else None for port in ports(kind)}
        for alive, (_, outputs, out, port) in zip(live, incoming, strict=True):
            if alive and outputs is not None:
                inputs[port] = [*inputs[port], outputs[out]] if port in multiple else outputs[out]
        inputs |= self.given.get(place, {})
        try:
            return compute(kind, inputs)
        except ValueError:
            return {"value": None, "failed": True}

    def demand(self, targets: list[int]) -> None:
        """Note what the targets need."""
        waiting, seen = list(targets), set()
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            outputs = self.value(place)
            sources = [source for source, _, _ in self.graph.into(place, self.given)]
            if outputs is None:
                waiting += [source for source in sources if self.graph.in_doubt(source)]
                continue
            self.may.add(place)
            self.failing = self.failing or "failed" in outputs
            waiting += sources
        self._note_must(targets)

    def _note_must(self, targets: list[int]) -> None:
        waiting = list(targets)
        while waiting:
            place = waiting.pop()
            if place in self.must or self.value(place) is None:
                continue
            self.must.add(place)
            waiting += [source for source, _, _ in self.graph.into(place, self.given)]


@st.composite
def graphs(draw: st.DrawFn) -> Drawn:
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=12))
    edges = []
    for target, kind in enumerate(kinds):
        single, multiple = KINDS[kind]
        for port in (*single, *multiple):
            count = draw(st.integers(0, 1 if port in single else 3)) if target else 0
            for _ in range(count):
                source = draw(st.integers(0, target - 1))
                out = draw(st.sampled_from(OUTPUTS[kinds[source]]))
                edge = (source, out, target, port)
                if edge not in edges:
                    edges.append(edge)
    return Drawn(kinds, edges)


@st.composite
def demands(draw: st.DrawFn, graph: Drawn) -> tuple[list[int], dict[int, dict[str, Any]]]:
    given: dict[int, dict[str, Any]] = {}
    for place in draw(st.lists(st.integers(0, len(graph.kinds) - 1), max_size=3)):
        port = draw(st.sampled_from(ports(graph.kinds[place])))
        single, _ = KINDS[graph.kinds[place]]
        small = st.integers(0, 3)
        given.setdefault(place, {})[port] = draw(small if port in single else st.lists(small, max_size=2))
    places = st.integers(0, len(graph.kinds) - 1)
    targets = draw(st.one_of(places.map(lambda place: [place]), st.lists(places, min_size=1, max_size=4, unique=True)))
    return targets, given


def asked(targets: list[int]) -> str | list[str]:
    """The targets as a demand names them."""
    return f"n{targets[0]}" if len(targets) == 1 else [f"n{place}" for place in targets]


def types(ran: list[int]) -> list[NodeType]:
    return [_type(kind, ran) for kind in KINDS]


def _type(kind: str, ran: list[int]) -> NodeType:
    def run(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        ran.append(inputs["k"])
        return compute(kind, inputs)

    async def run_later(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        if inputs["k"] % 2:
            await asyncio.sleep(0)
        return run(inputs, ctx)

    single, multiple = KINDS[kind]
    handler: Callable[..., Any] = run_later if kind == "later" else run
    return make_type(
        kind,
        handler,
        inputs=["k", *single, *(many(port) for port in multiple)],
        outputs=OUTPUTS[kind],
        gate=kind == "gate",
        content_digest=kind == "digest",
    )


def expected(reference: Reference, targets: list[int]) -> tuple[dict[str, Any], bool]:
    """The outputs that the demand is answered with, and whether they are of skipped nodes alone."""
    outputs: dict[str, dict[str, Any]] = {}
    for place in targets:
        value = reference.value(place)
        nulls = {} if value is None else dict.fromkeys(OUTPUTS[reference.graph.kinds[place]])
        outputs[f"n{place}"] = nulls | (value or {})
    skipped = all(reference.value(place) is None for place in targets)
    return (outputs if len(targets) > 1 else outputs[f"n{targets[0]}"]), skipped


def check_events(answer: Answer, ran: list[int], drawn: Drawn) -> None:
    """Each node has one story: it is found, or it is started and then ends, unless the demand ends before."""
    told: dict[str, list[str]] = {}
    for node, what in answer.events:
        told.setdefault(node, []).append(what["event"])
    assert answer.events[0][0] == ""
    assert told.pop("") == ["planned"]
    assert answer.events[0][1]["nodes"] <= len(drawn.kinds)
    for story in told.values():
        assert story in (["cached"], ["skipped"], ["started"], ["started", "completed"], ["started", "failed"])
    if answer.error is None:
        assert {node for node, story in told.items() if story == ["started", "completed"]} == {f"n{k}" for k in ran}
        assert not any(story[-1] in ("started", "failed") for story in told.values())
    else:
        assert [node for node, story in told.items() if story[-1] == "failed"] == [answer.error.node_id]


async def check(
    b: Bench,
    ran: list[int],
    drawn: Drawn,
    targets: list[int],
    given: dict[int, dict[str, Any]],
    *,
    cold: bool,
    events: bool,
) -> None:
    reference = Reference(drawn, given)
    reference.demand(targets)
    ran.clear()

    inputs = {f"n{place}": own for place, own in given.items()}
    answer = await b.demand(asked(targets), inputs=inputs, events=events)

    assert answer.node == asked(targets)
    assert len(ran) == len(set(ran)), "each node at most once"
    assert set(ran) <= reference.may
    if events:
        check_events(answer, ran, drawn)
    else:
        assert not answer.events
    if answer.code is not None:
        assert answer.code == "node_failed"
        assert reference.failing
        return
    assert (answer.outputs, answer.meta["skipped"]) == expected(reference, targets)
    assert answer.meta["ran"] == len(ran)
    assert not any("failed" in (reference.value(place) or {}) for place in reference.must)
    if cold:
        assert reference.must <= set(ran)
    event(f"lazy: {'gate' in drawn.kinds or 'digest' in drawn.kinds or bool(given)}")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_demand_gives_what_the_naive_evaluator_gives(data: st.DataObject) -> None:
    drawn = data.draw(graphs())
    rows = data.draw(st.lists(demands(drawn), min_size=1, max_size=4))
    kept = data.draw(st.sampled_from([0, 1, 3, 1_000]))
    tells = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    ran: list[int] = []

    async def run() -> None:
        async with bench(*types(ran), memo=Memo(max_entries=kept)) as b:
            b.open(drawn.to_json())
            for row, (targets, given) in enumerate(rows):
                await check(b, ran, drawn, targets, given, cold=row == 0 or kept == 0, events=tells[row])

    asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_demands_at_once_give_what_they_give_one_by_one(data: st.DataObject) -> None:
    drawn = data.draw(graphs())
    rows = data.draw(st.lists(demands(drawn), min_size=2, max_size=5))
    ran: list[int] = []

    async def run() -> None:
        async with bench(*types(ran)) as b:
            b.open(drawn.to_json())
            started = []
            for targets, given in rows:
                inputs = {f"n{place}": own for place, own in given.items()}
                started.append(b.start(asked(targets), inputs=inputs))
            for demand, (targets, given) in zip(started, rows, strict=True):
                answer = await b.sink.answer(demand)
                reference = Reference(drawn, given)
                reference.demand(targets)
                assert answer.code is None or reference.failing
                if answer.code is None:
                    assert answer.outputs == expected(reference, targets)[0]

    asyncio.run(run())
