"""Seeds of samplers: each holder of a graph has its own, and a key never outlives the seeds it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.compounds import held, inner, with_graphs
from tests.support.evaluation import bench, graph, make_type

if TYPE_CHECKING:
    from graphport.contracts.node import NodeType

pytestmark = pytest.mark.anyio

# It takes no input, so that nothing but the seed tells two evaluations of it apart.
DRAWS = inner({"s": "sampler"}, outputs={"drawn": "s.value"})


def sampler() -> NodeType:
    def draw(inputs: dict[str, Any], _: Any) -> dict[str, Any]:
        return {"value": inputs["seed"]}

    return make_type("sampler", draw, inputs=["seed"], effect="seeded")


async def test_a_graph_is_sampled_anew_for_another_seed() -> None:
    async with bench(sampler()) as made:
        made.open(graph({"c": held(DRAWS)}))

        first = await made.outputs("c", inputs={"c": {"seed": 1}})
        second = await made.outputs("c", inputs={"c": {"seed": 2}})

        assert first != second
        assert await made.outputs("c", inputs={"c": {"seed": 1}}) == first


async def test_two_holders_of_one_graph_have_samples_of_their_own() -> None:
    async with bench(sampler()) as made:
        made.open(with_graphs(graph({"c": held("g"), "d": held("g")}), g=DRAWS))

        assert await made.outputs("c") != await made.outputs("d")


async def test_each_item_of_a_map_has_a_sample_of_its_own() -> None:
    async with bench(sampler()) as made:
        made.open(graph({"m": ("map", {"graph": DRAWS, "items": [1, 2, 3]})}))

        drawn = (await made.outputs("m"))["drawn"]

        assert len(set(drawn)) == 3


async def test_a_graph_that_a_node_brings_is_sampled_for_each_session() -> None:
    async def bring(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        return {"value": (await ctx.evaluate(DRAWS, {}, seed=inputs["seed"]))["drawn"]}

    async with bench(sampler(), make_type("bring", bring, inputs=["seed"], effect="seeded")) as made:
        made.open(graph({"c": "bring"}))
        made.open(graph({"c": "bring"}), session=2)

        assert await made.outputs("c") != await made.outputs("c", session=2)


@pytest.mark.parametrize("parts", range(8))
async def test_seeds_drawn_while_another_demand_is_prepared(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    async with bench(sampler()) as made:
        made.open(graph({"s": "sampler"}))
        with monkeypatch.context() as no_time:  # each step of a demand does the least there is
            no_time.setattr("graphport.demand.run.TURN_S", -1.0)
            no_time.setattr("graphport.demand.evaluator.TURN_S", -1.0)
            slow = made.start("s")
            for _ in range(parts):
                made.evaluator.advance()
        fresh = await made.outputs("s", fresh=True)
        await made.sink.answer(slow)

        assert fresh == {"value": made.evaluator.session(1).seed("s")}
        assert await made.outputs("s") == fresh
