"""Random edits of a session against opening the edited graph anew.

The edited graph comes from a naive reference, which works on plain lists. The same nodes, digests, edges and sinks, the
same outputs, the same refusals; dirty are exactly the nodes that changed and what lies downstream; and after an edit
nothing but dirty nodes is run.
"""

from __future__ import annotations

import asyncio
import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.support.evaluation import Bench, Calls, bench, many

from graphport.contracts.node import ERROR_PORT, PortSpec
from graphport.core.errors import GraphInvalid
from graphport.graph.compile import CompiledGraph, readers

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.contracts.node import NodeType
    from graphport.graph.recompile import Recompiled

IDS: Final = ("a", "b", "c", "d", "e", "f")
TYPES: Final = ("number", "sum", "pair", "rough")
PORTS: Final = ("x", "items", "left", "right")
OPTIONAL = PortSpec(name="right")
ASKING = PortSpec(name="x", setting="start")


def number(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(number, value))
    return len(value) if isinstance(value, dict) else int(value or 0)


def types(calls: Calls) -> list[NodeType]:
    return [
        calls.inline("number", lambda inputs: {"value": number(inputs["x"])}, inputs=[ASKING]),
        calls.inline("sum", lambda inputs: {"value": 1 + number(inputs["items"])}, inputs=[many("items"), ASKING]),
        calls.inline(
            "pair",
            lambda inputs: {"value": 2 * number(inputs["left"]) + number(inputs["right"])},
            inputs=[PortSpec(name="left", required=True), OPTIONAL],
        ),
        calls.inline("rough", lambda inputs: {"value": number(inputs["x"]) // 4}, inputs=[ASKING], content_digest=True),
    ]


ids = st.sampled_from(IDS)
values = st.one_of(st.integers(0, 9), st.none())
data = st.dictionaries(st.sampled_from((*PORTS, "note")), values, max_size=2)
node = st.builds(lambda i, t, d: {"id": i, "type": t, "data": d}, ids, st.sampled_from(TYPES), data)
edge = st.builds(
    lambda source, out, target, port: {
        "source": source,
        "source_handle": out,
        "target": target,
        "target_handle": port,
    },
    ids,
    st.sampled_from(("value", "value", "value", ERROR_PORT)),
    ids,
    st.sampled_from(PORTS),
)
edit = st.one_of(
    st.builds(lambda i, d: {"set": i, "data": d}, ids, data),
    st.builds(lambda n: {"put": n}, node),
    st.builds(lambda i: {"remove": i}, ids),
    st.builds(lambda e: {"connect": e}, edge),
    st.builds(lambda e: {"disconnect": e}, edge),
    st.builds(lambda v: {"settings": {"start": v}}, values),
)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """Graphs that load: edges lead to fitting ports of later nodes."""
    kinds = {node_id: draw(st.sampled_from(TYPES)) for node_id in draw(st.sets(ids, min_size=2))}
    nodes, edges, taken = [], [], set()
    order = sorted(kinds)
    for place, node_id in enumerate(order):
        given = {"left": 1} if kinds[node_id] == "pair" else {}
        nodes.append({"id": node_id, "type": kinds[node_id], "data": given})
        wanted = {"number": ["x"], "sum": ["items", "x"], "pair": ["left", "right"], "rough": ["x"]}[kinds[node_id]]
        for source in order[:place]:
            port = draw(st.sampled_from([*wanted, ""]))
            if port and (port == "items" or (node_id, port) not in taken):
                taken.add((node_id, port))
                edges.append({"source": source, "source_handle": "value", "target": node_id, "target_handle": port})
    return {"nodes": nodes, "edges": edges, "settings": draw(st.sampled_from([{}, {"start": 3}]))}


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (old | new).items() if not (name in new and value is None)}


def applied(graph: dict[str, Any], edits: list[dict[str, Any]]) -> tuple[dict[str, Any], bool]:
    """The reference: the edited graph, and whether each edit found what it names."""
    graph = copy.deepcopy(graph)
    sound = [of_edges(graph, one) & of_nodes(graph, copy.deepcopy(one)) for one in edits]
    return graph, all(sound)


def of_nodes(graph: dict[str, Any], one: dict[str, Any]) -> bool:
    nodes = graph["nodes"]
    found = {each["id"]: each for each in nodes}
    name = one.get("set", one.get("remove"))
    match one:
        case {"set": _, "data": given} if name in found:
            found[name]["data"] = merged(found[name]["data"], given)
        case {"put": made} if made["id"] in found:
            nodes[nodes.index(found[made["id"]])] = made
        case {"put": made}:
            nodes.append(made)
        case {"remove": _}:
            graph["nodes"] = [each for each in nodes if each["id"] != name]
        case {"settings": given}:
            graph["settings"] = merged(graph["settings"], given)
    return name is None or name in found


def of_edges(graph: dict[str, Any], one: dict[str, Any]) -> bool:
    edges = graph["edges"]
    match one:
        case {"connect": made}:
            edges.append(made)
        case {"disconnect": made}:
            graph["edges"] = [each for each in edges if each != made]
            return made in edges
        case {"remove": name} if name in {each["id"] for each in graph["nodes"]}:
            graph["edges"] = [each for each in edges if name not in (each["source"], each["target"])]
    return True


def shape(graph: CompiledGraph) -> list[Any]:
    """What counts of a compiled graph."""
    return [
        graph.index,
        graph.sinks,
        list(map(sorted, graph.consumers())) == readers(graph.nodes),
        [(each.id, each.index, each.type.spec.type, each.static_digest, each.edges) for each in graph.nodes],
        [(each.base, each.required, each.needs_seed) for each in graph.nodes],
        [(each.routes_error, each.branches) for each in graph.nodes],
    ]


def roots(old: CompiledGraph, new: CompiledGraph) -> set[str]:
    """Ids of the nodes that differ from those of their id before."""

    def of(graph: CompiledGraph) -> dict[str, Any]:
        names = [each.id for each in graph.nodes]
        return {
            each.id: (each.type, each.static_digest, [(names[one[0]], *one[1:]) for one in each.edges])
            for each in graph.nodes
        }

    before, after = of(old), of(new)
    return {name for name in after if before.get(name) != after[name]}


def downstream(graph: CompiledGraph, names: set[str]) -> list[str]:
    found = {graph.index[name] for name in names}
    while True:
        more = {each.index for each in graph.nodes if any(one[0] in found for one in each.edges)} | found
        if more == found:
            return [graph.nodes[place].id for place in sorted(found)]
        found = more


async def outputs_of(made: Bench, session: int) -> dict[str, Any]:
    answer = await made.demand("*", session=session)
    return answer.outputs or {}


def tried(work: Callable[[], Any]) -> tuple[Any, list[dict[str, Any]]]:
    """What comes of a work, or None and the faults it was refused with."""
    try:
        return work(), []
    except GraphInvalid as error:
        return None, (error.details or {})["faults"]


async def check(graph: dict[str, Any], batches: list[list[dict[str, Any]]]) -> None:
    calls = Calls()
    async with bench(*types(calls)) as made:
        made.open(graph)
        evaluator = made.evaluator
        await outputs_of(made, 1)
        for number_of, edits in enumerate(batches, 2):
            before = evaluator.sessions[1].graph
            expected, sound = applied(graph, edits)
            fresh, wrong = tried(partial(evaluator.load, expected))
            edited, faults = tried(partial(evaluator.edit, before, edits))
            event("refused" if edited is None else "accepted")
            assert (edited is not None) == (sound and fresh is not None)
            if edited is None:
                assert [each for each in faults if not each["message"].startswith("Edit")] == wrong
                continue
            graph = expected
            hold_against(before, edited, fresh, edits)
            evaluator.update(1, edited)
            calls.clear()
            got = await outputs_of(made, 1)
            assert set(calls) <= set(edited.dirty)
            assert len(set(calls)) == len(calls)
            evaluator.add(number_of, fresh)
            assert got == await outputs_of(made, number_of)


def hold_against(before: CompiledGraph, edited: Recompiled, fresh: CompiledGraph, edits: list[dict[str, Any]]) -> None:
    assert shape(edited.graph) == shape(fresh)
    assert edited.graph.source.model_dump() == fresh.source.model_dump()
    changed = downstream(edited.graph, roots(before, edited.graph))
    if any("remove" in one for one in edits):  # a node that is removed and put again counts as changed
        assert set(edited.dirty) >= set(changed)
    else:
        assert edited.dirty == changed


@settings(max_examples=150, deadline=None)
@given(graphs(), st.lists(st.lists(edit, min_size=1, max_size=4), min_size=1, max_size=6))
def test_an_edited_graph_is_the_graph_opened_anew(graph: dict[str, Any], batches: list[list[dict[str, Any]]]) -> None:
    asyncio.run(check(graph, batches))
