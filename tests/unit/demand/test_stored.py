"""Results that another engine has made are found in the store, and only what is not there is run."""

from __future__ import annotations

import asyncio
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.evaluation import Bench, bench, graph, make_type, many, streamed, until
from tests.support.faulty_stores import FailingStore, HangingStore

from graphport.contracts.cache_policy import CachePolicy
from graphport.contracts.cache_store import StoredResult
from graphport.contracts.node import NodeType
from graphport.demand import stored as stored_module
from graphport.demand.memo import Memo
from graphport.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.contracts.cache_store import CacheStore

pytestmark = pytest.mark.anyio


class Ran(list[str]):
    """Ids of nodes that were run."""

    def slow(self, name: str = "slow", **spec: Any) -> NodeType:
        """An async type that adds what comes to `items`, and `x`."""

        async def run(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
            self.append(ctx.node_id)
            await asyncio.sleep(0)
            return {"value": [*chain(*inputs["items"]), inputs["x"]]}

        return make_type(name, run, inputs=["x", many("items")], **spec)

    def threaded(self, name: str = "threaded", policy: CachePolicy | None = None, **spec: Any) -> NodeType:
        def run(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
            self.append(ctx.node_id)
            return {"value": [*chain(*inputs["items"]), inputs["x"]]}

        made = make_type(name, run, inputs=["x", many("items")], **({"execution": "thread"} | spec))
        return NodeType(spec=made.spec, handler=made.handler, code_digest=made.code_digest, cache=policy)

    def talker(self) -> NodeType:
        async def run(_inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
            self.append(ctx.node_id)
            for piece in ("one ", "two"):
                await ctx.stream("text", piece)
            return {"text": "one two"}

        return make_type("talker", run, inputs=["x", many("items")], outputs=[streamed("text")])


def line(kind: str, *names: str) -> dict[str, Any]:
    """A chain of nodes of a type."""
    nodes: dict[str, Any] = {name: (kind, {"x": number}) for number, name in enumerate(names)}
    return graph(nodes, *(f"{one}.value -> {other}.items" for one, other in pairwise(names)))


async def in_an_engine(
    store: CacheStore, types: list[NodeType], loaded: dict[str, Any], ask: Callable[[Bench], Any], **options: Any
) -> Any:
    """What comes of asking a fresh engine that uses the store; all it wanted to store is stored afterwards."""
    async with bench(*types, store=store, **options) as b:
        b.open(loaded)
        return await ask(b)


@pytest.mark.parametrize("kind", ["slow", "threaded"])
async def test_another_engine_finds_the_target_and_runs_nothing(kind: str) -> None:
    store, ran = MemoryStore(), Ran()
    types = [ran.slow(), ran.threaded()]
    first = await in_an_engine(store, types, line(kind, "a", "b", "c"), lambda b: b.demand("c"))
    assert ran == ["a", "b", "c"]
    ran.clear()

    second = await in_an_engine(store, types, line(kind, "a", "b", "c"), lambda b: b.demand("c", events=True))

    assert ran == []
    assert second.outputs == first.outputs == {"value": [0, 1, 2]}
    assert (second.meta["cached"], second.meta["ran"]) == (True, 0)
    assert [event for event in second.events if event[0]] == [("c", {"event": "cached"})]


async def test_only_what_is_missing_runs_and_sources_of_what_is_found_are_not_loaded() -> None:
    store, ran = MemoryStore(), Ran()
    await in_an_engine(store, [ran.slow()], line("slow", "a", "b"), lambda b: b.outputs("b"))
    ran.clear()

    async def ask(b: Bench) -> Any:
        answer = await b.demand("d")
        return answer, len(b.evaluator.memo)

    answer, kept = await in_an_engine(store, [ran.slow()], line("slow", "a", "b", "c", "d"), ask)

    assert ran == ["c", "d"]
    assert answer.outputs == {"value": [0, 1, 2, 3]}
    assert (answer.meta["cached"], answer.meta["ran"]) == (False, 2)
    assert kept == 3  # not `a`


async def test_what_it_streamed_is_streamed_again_also_where_it_is_not_reached() -> None:
    store, ran = MemoryStore(), Ran()
    types = [ran.talker(), ran.slow()]
    loaded = graph({"t": ("talker", {"x": 1}), "s": ("slow", {"x": 2})})
    loaded["edges"] = [{"source": "t", "source_handle": "text", "target": "s", "target_handle": "x"}]
    loaded["nodes"][1]["data"] = {}

    async def ask(b: Bench) -> Any:
        return await b.demand("s", stream=True)

    first = await in_an_engine(store, types, loaded, ask)
    ran.clear()
    second = await in_an_engine(store, types, loaded, ask)

    assert ran == []
    assert first.text("t") == second.text("t") == "one two"
    assert second.outputs == {"value": ["one two"]}


async def test_a_target_that_streams_says_it_again() -> None:
    store, ran = MemoryStore(), Ran()
    loaded = graph({"t": ("talker", {"x": 1})})
    for _ in range(2):
        answer = await in_an_engine(store, [ran.talker()], loaded, lambda b: b.demand("t", stream=True))
        assert answer.text() == "one two"

    assert ran == ["t"]


async def test_inline_nodes_are_run_again_unless_their_type_wants_otherwise() -> None:
    store, ran = MemoryStore(), Ran()
    plain = ran.threaded("plain", execution="inline")
    stored = ran.threaded("stored", CachePolicy(store=True), execution="inline")
    unstored = ran.threaded("unstored", CachePolicy(store=False))
    loaded = graph({name: (name, {"x": 1}) for name in ("plain", "stored", "unstored")})

    async def ask(b: Bench) -> Any:
        return [await b.outputs(name) for name in ("plain", "stored", "unstored")]

    for _ in range(2):
        await in_an_engine(store, [plain, stored, unstored], loaded, ask)

    assert ran == ["plain", "stored", "unstored", "plain", "unstored"]


async def test_volatile_and_effect_nodes_and_what_hangs_on_them_are_never_stored() -> None:
    store, ran = MemoryStore(), Ran()
    types = [ran.slow(), ran.slow("now", effect="volatile"), ran.slow("act", effect="effect")]
    loaded = graph(
        {"n": ("now", {"x": 1}), "e": ("act", {"x": 2}), "s": ("slow", {"x": 3})},
        "n.value -> e.items",
        "e.value -> s.items",
    )
    for _ in range(2):
        await in_an_engine(store, types, loaded, lambda b: b.outputs("s"))

    assert ran == ["n", "e", "s"] * 2
    assert (await store.stats()).entries == 0


async def test_failures_are_not_stored() -> None:
    store, ran = MemoryStore(), Ran()

    async def fails(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        ran.append(ctx.node_id)
        raise ValueError

    loaded = graph({"f": ("fails", {"x": 1})})
    for _ in range(2):
        await in_an_engine(store, [make_type("fails", fails, inputs=["x"])], loaded, lambda b: b.fails("f"))

    assert ran == ["f", "f"]
    assert (await store.stats()).entries == 0


async def test_the_demands_own_inputs_and_seeds_are_in_the_key() -> None:
    store, ran = MemoryStore(), Ran()
    types = [ran.slow(), ran.slow("sampled", effect="seeded")]
    loaded = graph({"a": ("slow", {"x": 1}), "b": ("slow", {"x": 2}), "r": ("sampled", {"x": 3})}, "a.value -> b.items")

    async def ask(b: Bench) -> Any:
        one = await b.outputs("b", inputs={"a": {"x": 5}})
        other = await b.outputs("b", inputs={"a": {"x": 6}})
        return one, other, await b.outputs("r")

    for _ in range(2):
        assert await in_an_engine(store, types, loaded, ask) == (
            {"value": [5, 2]},
            {"value": [6, 2]},
            {"value": [3]},
        )

    assert ran == ["a", "b", "a", "b", "r"]


async def test_keys_that_are_known_late_are_asked_for_late() -> None:
    store, ran = MemoryStore(), Ran()
    types = [ran.slow(), ran.slow("looked", content_digest=True)]
    loaded = graph(
        {"a": ("looked", {"x": 1}), "b": ("slow", {"x": 2}), "c": ("slow", {"x": 3})},
        "a.value -> b.items",
        "b.value -> c.items",
    )
    for _ in range(2):
        answer = await in_an_engine(store, types, loaded, lambda b: b.demand("c", events=True))
        assert answer.outputs == {"value": [1, 2, 3]}

    assert ran == ["a", "b", "c"]
    assert sorted(event for event in answer.events if event[0]) == [
        ("a", {"event": "cached"}),
        ("b", {"event": "cached"}),
        ("c", {"event": "cached"}),
    ]
    assert (answer.meta["cached"], answer.meta["ran"]) == (True, 0)


async def test_nodes_behind_a_gate_are_found_too() -> None:
    store, ran = MemoryStore(), Ran()
    loaded = graph(
        {
            "g": ("conditional", {"condition": True}),
            "s": ("slow", {"x": 1}),
            "yes": ("slow", {"x": 2}),
            "no": ("slow", {"x": 3}),
            "m": "merge",
        },
        "s.value -> g.value",
        "g.true_out -> yes.items",
        "g.false_out -> no.items",
        "yes.value -> m.inputs",
        "no.value -> m.inputs",
    )
    answers = [await in_an_engine(store, [ran.slow()], loaded, lambda b: b.outputs("m")) for _ in range(2)]

    assert answers[0] == answers[1]
    assert sorted(ran) == ["s", "yes"]


async def test_nobody_can_change_what_was_stored_or_found() -> None:
    store, seen = MemoryStore(), []

    async def makes(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        return {"value": [[1], {"a": [2]}]}

    async def spoils(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        seen.append(repr(inputs["x"]))
        inputs["x"][0].append("spoilt")
        inputs["x"][1]["a"].clear()
        inputs["x"].append("spoilt")
        return {"value": len(inputs["x"])}

    types = [make_type("makes", makes), make_type("spoils", spoils, inputs=["x", "n"])]
    loaded = graph({"m": "makes", **{f"s{n}": ("spoils", {"n": n}) for n in range(3)}})
    loaded["edges"] = [
        {"source": "m", "source_handle": "value", "target": f"s{n}", "target_handle": "x"} for n in range(3)
    ]

    async def ask(b: Bench) -> Any:
        for n in range(3):
            await b.outputs(f"s{n}")
        return await b.outputs("m")

    assert await in_an_engine(store, types, loaded, ask) == {"value": [[1], {"a": [2]}]}
    await in_an_engine(store, types, graph({"m": "makes"}), lambda b: b.outputs("m"))
    for n in range(3):
        loaded["nodes"][n + 1]["data"] = {"n": n + 10}
    assert await in_an_engine(store, types, loaded, ask) == {"value": [[1], {"a": [2]}]}

    assert seen == ["[[1], {'a': [2]}]"] * 6


async def test_a_result_with_other_ports_is_no_result() -> None:
    store, ran = MemoryStore(), Ran()
    loaded = line("slow", "a")
    await in_an_engine(store, [ran.slow()], loaded, lambda b: b.outputs("a"))
    (key,) = list(store._frames)
    await store.put_many({key: StoredResult(outputs={"other": 1})})

    assert await in_an_engine(store, [ran.slow()], loaded, lambda b: b.outputs("a")) == {"value": [0]}
    assert ran == ["a", "a"]


async def test_a_cache_without_room_is_no_hindrance() -> None:
    store, ran = MemoryStore(), Ran()
    for _ in range(2):
        outputs = await in_an_engine(
            store, [ran.slow()], line("slow", *"abcd"), lambda b: b.outputs("d"), memo=Memo(max_entries=1)
        )
        assert outputs == {"value": [0, 1, 2, 3]}

    assert ran == ["a", "b", "c", "d"]


async def test_keep_bounds_the_store_too() -> None:
    store, ran = MemoryStore(), Ran()
    types = [ran.threaded(policy=CachePolicy(keep=1))]
    loaded = graph({name: ("threaded", {"x": name}) for name in "abc"})

    async def ask(b: Bench) -> Any:
        return [await b.outputs(name) for name in "abc"]

    await in_an_engine(store, types, loaded, ask)

    assert (await store.stats()).entries == 1


# Stores that do not work


@pytest.mark.parametrize("method", ["contains_many", "get_many", "put_many", "close"])
@pytest.mark.parametrize("typed", [True, False])
async def test_a_store_that_fails_fails_no_demand(method: str, typed: bool, caplog: pytest.LogCaptureFixture) -> None:
    store, ran = FailingStore({method}, typed=typed), Ran()
    for _ in range(2):
        outputs = await in_an_engine(store, [ran.slow()], line("slow", "a", "b"), lambda b: b.outputs("b"))
        assert outputs == {"value": [0, 1]}

    assert [record.levelname for record in caplog.records].count("WARNING") >= 1
    assert all("demands go on without it" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("method", ["contains_many", "get_many"])
async def test_a_store_that_does_not_answer_is_waited_for_once(
    method: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stored_module, "PATIENCE_S", 0.01)
    inner, ran = MemoryStore(), Ran()
    await in_an_engine(inner, [ran.slow()], line("slow", "a"), lambda b: b.outputs("a"))
    ran.clear()
    store = HangingStore({method}, inner)

    async def ask(b: Bench) -> Any:
        first = await b.outputs("a")
        asked = store.asked
        await b.outputs("b")
        assert store.asked == asked  # it is left alone until it answers
        return first

    loaded = graph({"a": ("slow", {"x": 0}), "b": ("slow", {"x": 1})})

    assert await in_an_engine(store, [ran.slow()], loaded, ask) == {"value": [0]}
    assert ran == ["a", "b"]
    assert any("has not answered" in record.getMessage() for record in caplog.records)


async def test_a_store_that_answers_late_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_module, "PATIENCE_S", 0.01)
    store, ran = HangingStore({"contains_many"}), Ran()

    async def ask(b: Bench) -> Any:
        await b.outputs("a")
        stored = b.evaluator.stored
        assert stored is not None
        assert not stored.usable
        store.go_on()
        await until(lambda: stored.usable)
        return stored.describe()

    facts = await in_an_engine(store, [ran.slow()], line("slow", "a"), ask)

    assert facts["usable"]


async def test_a_demand_that_is_cancelled_while_the_store_is_asked_ends_at_once() -> None:
    store, ran = HangingStore({"contains_many"}), Ran()

    async def ask(b: Bench) -> Any:
        demand = b.start("a")
        await until(lambda: store.asked > 0)
        b.evaluator.cancel(demand)
        store.go_on()
        return (await b.sink.answer(demand)).code

    assert await in_an_engine(store, [ran.slow()], line("slow", "a"), ask) == "cancelled"
    assert ran == []


async def test_a_deadline_ends_a_demand_that_waits_for_the_store() -> None:
    store, ran = HangingStore({"contains_many"}), Ran()

    async def ask(b: Bench) -> Any:
        code = await b.fails("a", deadline_ms=20)
        store.go_on()
        return code

    assert await in_an_engine(store, [ran.slow()], line("slow", "a"), ask) == "deadline_exceeded"
    assert ran == []


async def test_writes_that_hang_hold_up_nothing_and_too_many_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_module, "_MAX_WAITING", 2)
    store, ran = HangingStore({"put_many"}), Ran()

    async def ask(b: Bench) -> Any:
        for name in "abcdef":
            await b.outputs(name)
        assert b.evaluator.stored is not None
        return b.evaluator.stored.describe()

    loaded = graph({name: ("slow", {"x": name}) for name in "abcdef"})
    facts = await in_an_engine(store, [ran.slow()], loaded, ask)

    assert facts["dropped"] == 3  # one is being written, two wait
    assert ran == list("abcdef")


async def test_two_demands_at_once_run_a_node_once() -> None:
    store, ran = MemoryStore(), Ran()

    async def ask(b: Bench) -> Any:
        demands = [b.start("c") for _ in range(3)]
        return [(await b.sink.answer(demand)).outputs for demand in demands]

    assert await in_an_engine(store, [ran.slow()], line("slow", *"abc"), ask) == [{"value": [0, 1, 2]}] * 3
    assert ran == ["a", "b", "c"]
