"""A graph in a node gives what its nodes give where they stand outside of it; a map, what single demands give."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.compounds import held, inner
from tests.support.evaluation import Calls, bench, graph


def types(calls: Calls) -> list[Any]:
    return [calls.source(), calls.total()]


@st.composite
def layered(draw: st.DrawFn) -> tuple[list[tuple[int, ...]], int]:
    """Per node the nodes before it that it adds up (the first may add up the input, -1), and where the graph is cut."""
    size = draw(st.integers(2, 8))
    nodes = [tuple(draw(st.sets(st.integers(-1, place - 1), min_size=1))) for place in range(size)]
    return nodes, draw(st.integers(1, size - 1))


def flat(nodes: list[tuple[int, ...]]) -> dict[str, Any]:
    kinds: dict[str, Any] = {"x": ("source", {"x": 0}), **{f"n{place}": "total" for place in range(len(nodes))}}
    edges = [
        f"{'x' if source < 0 else f'n{source}'}.value -> n{place}.items"
        for place, sources in enumerate(nodes)
        for source in sorted(sources)
    ]
    return graph(kinds, *edges)


def folded(nodes: list[tuple[int, ...]], cut: int) -> dict[str, Any]:
    """The same graph, with the first `cut` nodes within one."""
    inside = inner(
        {f"n{place}": "total" for place in range(cut)},
        *[
            f"{'in-x' if source < 0 else f'n{source}'}.value -> n{place}.items"
            for place in range(cut)
            for source in sorted(nodes[place])
        ],
        inputs={"x": {}},
        outputs={f"y{place}": f"n{place}.value" for place in range(cut)},
    )
    kinds: dict[str, Any] = {"x": ("source", {"x": 0}), "c": held(inside)}
    kinds |= {f"n{place}": "total" for place in range(cut, len(nodes))}
    edges = ["x.value -> c.x"]
    for place in range(cut, len(nodes)):
        for source in sorted(nodes[place]):
            giver = "x.value" if source < 0 else f"c.y{source}" if source < cut else f"n{source}.value"
            edges.append(f"{giver} -> n{place}.items")
    return graph(kinds, *edges)


@settings(max_examples=40, deadline=None)
@given(layered(), st.lists(st.integers(-5, 5), min_size=1, max_size=4))
def test_a_compound_gives_what_its_inlined_graph_gives(
    made: tuple[list[tuple[int, ...]], int], values: list[int]
) -> None:
    nodes, cut = made
    last = f"n{len(nodes) - 1}"

    async def run() -> None:
        calls = Calls()
        async with bench(*types(calls)) as b:
            b.open(flat(nodes), session=1)
            b.open(folded(nodes, cut), session=2)
            for value in values:
                wanted = await b.outputs(last, session=1, inputs={"x": {"x": value}})
                assert await b.outputs(last, session=2, inputs={"x": {"x": value}}) == wanted

    asyncio.run(run())


@settings(max_examples=30, deadline=None)
@given(layered(), st.lists(st.integers(-3, 3), max_size=6), st.integers(1, 7))
def test_a_map_gives_what_single_demands_give(
    made: tuple[list[tuple[int, ...]], int], items: list[int], concurrency: int
) -> None:
    nodes, _ = made
    inside = inner(
        {f"n{place}": "total" for place in range(len(nodes))},
        *[
            f"{'in-item' if source < 0 else f'n{source}'}.value -> n{place}.items"
            for place, sources in enumerate(nodes)
            for source in sorted(sources)
        ],
        inputs={"item": {}},
        outputs={"y": f"n{len(nodes) - 1}.value"},
    )

    async def run() -> None:
        calls = Calls()
        async with bench(*types(calls)) as b:
            data = {"graph": inside, "items": items, "concurrency": concurrency}
            b.open(graph({"m": ("map", data)}), session=1)
            b.open(graph({"c": held(inside)}), session=2)
            singles = [(await b.outputs("c", session=2, inputs={"c": {"item": item}}))["y"] for item in items]
            ran = len(calls)

            assert await b.outputs("m", session=1) == {"y": singles}
            assert len(calls) == ran, "what single demands have made is found"

    asyncio.run(run())
