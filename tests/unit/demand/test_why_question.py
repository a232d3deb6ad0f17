"""What `why` answers: for each way in which a node can come to run again, where that began."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.evaluation import Bench, Calls, bench, graph

from graphport.contracts.node import PortSpec
from graphport.demand.memo import Memo
from graphport.demand.questions.why import why
from graphport.graph.catalogue import Catalogue
from graphport.graph.compile import CompiledGraph
from graphport.graph.plan import made
from graphport.graph.validate import load_graph

pytestmark = pytest.mark.anyio


def ask(b: Bench, node: Any = "t", **inputs: Any) -> dict[str, Any]:
    return made(why(b.evaluator, b.evaluator.sessions[1], node, inputs=inputs, limit=1_000))


def causes(answer: dict[str, Any]) -> list[dict[str, Any]]:
    assert answer["total"] == len(answer["causes"])
    return [{name: value for name, value in cause.items() if name != "text"} for cause in answer["causes"]]


def chain(x: Any = 1, *, edges: tuple[str, ...] = ("a.value -> m.items", "m.value -> t.items"), **more: Any) -> Any:
    return graph({"a": ("source", {"x": x}), "b": ("source", {"x": 7}), "m": "total", "t": "total"}, *edges, **more)


def edit(b: Bench, loaded: Any) -> None:
    """The session's graph becomes another one."""
    b.evaluator.sessions[1].graph = b.evaluator.load(loaded)


async def test_nothing_is_known_of_a_session_that_has_run_nothing() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(chain())
        answer = ask(b)

    assert (answer["since"], answer["runs"]) == (None, True)
    assert {cause["node"]: cause["cause"] for cause in causes(answer)} == dict.fromkeys("tma", "never_run")


async def test_nothing_has_changed() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(chain())
        await b.outputs("t")
        answer = ask(b)

    assert (answer["since"], answer["runs"], causes(answer)) == (1, False, [])
    assert "cache" in answer["text"]


async def test_data_is_named_by_its_port_and_only_where_it_changed() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(chain())
        await b.outputs("t")
        edit(b, chain(x=2))
        answer = ask(b)

    assert causes(answer) == [{"node": "a", "cause": "data_changed", "port": "x"}]
    assert answer["text"] == "'t' would run because the value of 'x' of 'a' has changed"


async def test_a_change_that_another_demand_has_run_already_is_still_the_cause() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(chain())
        await b.outputs("t")
        edit(b, chain(x=2))
        await b.outputs("m")
        answer = ask(b)

    assert causes(answer) == [{"node": "a", "cause": "data_changed", "port": "x"}]


async def test_a_setting_is_named_beside_its_port() -> None:
    calls = Calls()
    styled = calls.inline(
        "styled", lambda inputs: {"value": inputs["style"]}, inputs=[PortSpec(name="style", setting="tone")]
    )
    async with bench(styled) as b:
        b.open(graph({"t": "styled"}, tone="dry"))
        await b.outputs("t")
        edit(b, graph({"t": "styled"}, tone="warm"))
        answer = ask(b)

    assert causes(answer) == [{"node": "t", "cause": "data_changed", "port": "style", "setting": "tone"}]


async def test_an_edge_that_leads_from_elsewhere() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(chain())
        await b.outputs("t")
        await b.outputs("b")
        edit(b, chain(edges=("b.value -> m.items", "m.value -> t.items")))
        answer = ask(b)

    assert causes(answer) == [
        {"node": "m", "cause": "edge_changed", "port": "items", "before": ["a.value"], "now": ["b.value"]}
    ]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"code_digest": b"another"}, {"cause": "code_changed"}),
        ({"version": "2"}, {"cause": "version_changed", "before": "1", "now": "2"}),
    ],
)
async def test_code_and_version_of_a_type(change: dict[str, Any], cause: dict[str, Any]) -> None:
    calls = Calls()
    source = calls.source()
    async with bench(source, calls.total()) as b:
        b.open(chain())
        await b.outputs("t")
        if "version" in change:
            change["version"] = type(source.spec.version)(change["version"])
            cause |= {"before": source.spec.version, "now": change["version"]}
            changed = replace(source, spec=source.spec.model_copy(update=change))
        else:
            changed = replace(source, **change)
        catalogue = Catalogue()
        for node_type in (changed, b.evaluator.catalogue.get("total")):
            assert node_type is not None
            catalogue.register(node_type)
        b.evaluator.sessions[1].graph = CompiledGraph(
            load_graph(chain(), catalogue), catalogue, stats=b.evaluator.stats
        )
        answer = ask(b)

    assert causes(answer) == [{"node": "a"} | cause]


async def test_another_type() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total(), calls.source("origin")) as b:
        b.open(graph({"t": ("source", {"x": 1})}))
        await b.outputs("t")
        edit(b, graph({"t": ("origin", {"x": 1})}))
        answer = ask(b)

    assert causes(answer) == [{"node": "t", "cause": "type_changed", "before": "source", "now": "origin"}]


@pytest.mark.parametrize(
    ("was", "now"), [(2, 3), (2, None), (None, 3), ("x" * 500, "y" * 500), ([1], [2]), ([1], None), ({"a": 1}, [1])]
)
async def test_inputs_of_the_demand(was: Any, now: Any) -> None:
    calls = Calls()
    kept = calls.inline("kept", lambda inputs: {"value": inputs["x"]}, inputs=["x"])
    wrap = calls.inline("wrap", lambda inputs: {"value": 1}, inputs=["items"])
    async with bench(kept, wrap) as b:
        b.open(graph({"a": ("kept", {"x": 1}), "t": "wrap"}, "a.value -> t.items"))
        await b.outputs("t", inputs={} if was is None else {"a": {"x": was}})
        same = ask(b, **({} if was is None else {"a": {"x": was}}))
        answer = ask(b, **({} if now is None else {"a": {"x": now}}))

    assert causes(same) == []
    assert causes(answer) == [{"node": "a", "cause": "input_differs", "port": "x"}]


async def test_seeds_that_were_drawn_anew_for_another_node() -> None:
    calls = Calls()
    dice = calls.inline("dice", lambda inputs: {"value": inputs["seed"]}, inputs=["seed"], effect="seeded")
    async with bench(dice, calls.total()) as b:
        b.open(graph({"d": "dice", "t": "total", "u": "total"}, "d.value -> t.items", "d.value -> u.items"))
        await b.outputs("t")
        await b.outputs("u", fresh=True)
        answer = ask(b)

    assert causes(answer) == [{"node": "d", "cause": "seed_drawn"}]


async def test_what_the_cache_gave_up() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total(), memo=Memo(max_entries=2)) as b:
        b.open(chain())
        await b.outputs("t")
        await b.outputs("b")
        await b.outputs("b", inputs={"b": {"x": 8}})
        answer = ask(b)

    assert {cause["node"]: cause["cause"] for cause in causes(answer)} == dict.fromkeys("tma", "not_kept")


@pytest.mark.parametrize("effect", ["volatile", "effect"])
async def test_nodes_that_run_for_every_demand(effect: str) -> None:
    calls = Calls()
    async with bench(calls.source(effect=effect), calls.total()) as b:
        b.open(chain())
        await b.outputs("t")
        answer = ask(b)

    assert causes(answer) == [{"node": "a", "cause": effect}]


async def test_a_node_that_came_with_an_edit_and_the_run_of_another_target() -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(chain())
        await b.outputs("t")
        edit(b, chain(edges=("a.value -> m.items", "b.value -> m.items", "m.value -> t.items")))
        answer = ask(b, "m")

    assert answer["since"] == 1
    assert causes(answer) == [
        {
            "node": "m",
            "cause": "edge_changed",
            "port": "items",
            "before": ["a.value"],
            "now": ["a.value", "b.value"],
        },
        {"node": "b", "cause": "never_run"},
    ]


async def test_runs_are_remembered_for_some_targets_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls()
    async with bench(calls.source(), calls.total()) as b:
        b.open(graph({f"n{place}": ("source", {"x": place}) for place in range(20)}))
        for place in range(20):
            await b.outputs(f"n{place}")
        history = b.evaluator.sessions[1].history
        assert [record.demand for record in history.records()] == list(range(20, 4, -1))
        assert ask(b, "n3")["since"] is None
        monkeypatch.setattr("graphport.demand.questions.history._NODES_KEPT", 5)
        await b.outputs("n1", inputs={"n1": {"x": 50}})
        assert [record.demand for record in history.records()] == [21, 20, 19, 18, 17]
