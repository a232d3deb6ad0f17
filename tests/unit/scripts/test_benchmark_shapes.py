"""Engines that are compared must be given the same work: every way to run a shape gives the bare loop's value."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from scripts.benchmarks.graphport_engine import ASYNC, INLINE, WAITS, Engine, graph_of
from scripts.benchmarks.peers.roster import ENGINES, OURS, variants
from scripts.benchmarks.shapes import PLAIN, SHAPES, SMALL_SHAPES, Bare, Shape, Step, fan
from scripts.benchmarks.timing import Rounds

if TYPE_CHECKING:
    from scripts.benchmarks.peers.variant import Variant
    from scripts.benchmarks.shapes import Functions

VALUES = {"chain": 7, "layered": 3 * 2**3, "fan": 5 * 2}
SIZES = {"chain 1,000": 1_000, "layered 50x20": 1_001, "fan 1,000 + merge": 1_002}
HERE = [variant for engine in (OURS, "on_python") for variant in variants(engine)]

each_shape = pytest.mark.parametrize("title", SMALL_SHAPES)


@each_shape
def test_the_bare_loop_gives_the_value_that_is_expected(title: str) -> None:
    _, value = Bare.of(SMALL_SHAPES[title](PLAIN)).run()

    assert value == VALUES[title]


@each_shape
def test_the_bare_loop_that_awaits_gives_the_same(title: str) -> None:
    _, value = asyncio.run(Bare.of(SMALL_SHAPES[title](WAITS)).run_awaiting())

    assert value == VALUES[title]


@each_shape
@pytest.mark.parametrize("functions", [INLINE, ASYNC, WAITS], ids=["inline", "async", "waits"])
@pytest.mark.parametrize("events", [False, True])
def test_graphport_gives_the_same(title: str, functions: Functions, events: bool) -> None:
    async def demanded() -> object:
        engine = Engine(SMALL_SHAPES[title](functions), events=events)
        engine.reopen()
        engine.plan()
        _, value = await engine.demand()
        return value

    assert asyncio.run(demanded()) == VALUES[title]


@each_shape
@pytest.mark.parametrize("variant", HERE, ids=lambda variant: str(variant.name))
def test_variants_that_need_no_other_package_give_the_same_cold_and_again(title: str, variant: Variant) -> None:
    async def twice() -> list[object]:
        prepared = variant.prepare(SMALL_SHAPES[title](variant.functions))
        prepared.forget()
        return [await prepared.run(), await prepared.run()]

    assert asyncio.run(twice()) == [VALUES[title]] * 2


def test_the_measured_shapes_are_of_about_a_thousand_nodes() -> None:
    assert {title: len(make(PLAIN)) for title, make in SHAPES.items()} == SIZES


def test_a_graph_has_an_edge_for_each_source() -> None:
    graph = graph_of(fan(PLAIN, 5))

    assert len(graph["nodes"]) == 7
    assert len(graph["edges"]) == 5 + 5
    assert {edge["target_handle"] for edge in graph["edges"] if edge["target"] == "total"} == {"values"}


def test_engines_that_are_not_installed_can_be_listed() -> None:
    names = [variant.name for engine in ENGINES for variant in variants(engine)]

    assert len(names) == len(set(names)) == 12


def test_a_node_that_collects_is_called_with_one_list() -> None:
    assert Step(sum, ("a", "b"), ("values",), collects=True).call([1, 2]) == 3
    assert Shape({"a": Step(int), "b": Step(int)}).target == "b"


def test_a_round_whose_values_differ_is_an_error() -> None:
    rounds = Rounds()
    rounds.add("bare", (1.0, 7))

    with pytest.raises(AssertionError, match="dask gave 8, not 7"):
        rounds.add("dask", (1.0, 8))
