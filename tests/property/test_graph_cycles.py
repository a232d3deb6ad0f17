"""Cycle finding against a naive check, on random graphs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from graphport.contracts.node import NodeSpec, NodeType, PortSpec
from graphport.graph.catalogue import Catalogue
from graphport.graph.cycles import find_cycles
from graphport.graph.model import Edge, Graph, Node
from graphport.graph.validate import find_faults

MANY = NodeType(
    spec=NodeSpec(
        type="many",
        inputs=(PortSpec(name="in", multiple=True),),
        outputs=(PortSpec(name="out"),),
    ),
    handler=lambda inputs, context: {},
    code_digest=b"",
)
CATALOGUE = Catalogue()
CATALOGUE.register(MANY)

Pairs = list[tuple[int, int]]
VERTICES = 9
PAIRS = st.lists(st.tuples(st.integers(0, VERTICES - 1), st.integers(0, VERTICES - 1)), max_size=16)


def successors(pairs: Pairs) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(VERTICES)]
    for source, target in pairs:
        found[source].append(target)
    return found


def reaches(pairs: Pairs) -> list[set[int]]:
    """For each vertex what it reaches in one step or more, by repeating until nothing is added."""
    found = [set(targets) for targets in successors(pairs)]
    for _ in range(VERTICES):
        for own in found:
            own.update(*(found[target] for target in list(own)))
    return found


def naive_circles(pairs: Pairs) -> set[frozenset[int]]:
    reached = reaches(pairs)
    return {
        frozenset(other for other in range(VERTICES) if other in reached[one] and one in reached[other])
        for one in range(VERTICES)
        if one in reached[one]
    }


@given(PAIRS)
def test_there_is_one_cycle_for_each_set_that_reaches_itself(pairs: Pairs) -> None:
    components = naive_circles(pairs)

    cycles = find_cycles(successors(pairs))

    assert len(cycles) == len(components)
    for cycle in cycles:
        (component,) = [one for one in components if set(cycle) <= one]
        assert cycle[0] == min(component)
        assert len(set(cycle)) == len(cycle)
        assert all(step in pairs for step in zip(cycle, [*cycle[1:], cycle[0]], strict=True))


@given(PAIRS)
def test_validation_reports_cycles_and_nothing_else(pairs: Pairs) -> None:
    graph = Graph(
        nodes=tuple(Node(id=f"n{place}", type="many") for place in range(VERTICES)),
        edges=tuple(
            Edge(source=f"n{source}", source_handle="out", target=f"n{target}", target_handle="in")
            for source, target in pairs
        ),
    )

    faults = find_faults(graph, CATALOGUE)

    assert {fault.code for fault in faults} <= {"cycle"}
    assert len(faults) == len(naive_circles(pairs))


@given(st.permutations(range(VERTICES)), PAIRS)
def test_edges_along_an_order_make_no_cycle(order: list[int], pairs: Pairs) -> None:
    forward = [(order[min(pair)], order[max(pair)]) for pair in pairs if pair[0] != pair[1]]

    assert find_cycles(successors(forward)) == []
