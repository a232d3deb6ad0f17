"""Graphs that cannot be loaded and values that cannot be used are told by an exact code, and the engine goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.port_client import PortClient

from graphport.wire.codec import pack
from graphport.wire.limits import PART_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = "bad_output_nodes"


@pytest.fixture(scope="module")
def engine() -> Iterator[PortClient]:
    with PortClient("--nodes", MODULE, folder=Path(__file__).parent) as made:
        made.hello()
        yield made


def edge(ends: str) -> dict[str, str]:
    source, target = (end.split(".") for end in ends.split(" -> "))
    return {"source": source[0], "source_handle": source[1], "target": target[0], "target_handle": target[1]}


def graph(nodes: dict[str, str], *edges: str, **data: Any) -> dict[str, Any]:
    rows = [{"id": name, "type": kind, "data": data.get(name, {})} for name, kind in nodes.items()]
    return {"nodes": rows, "edges": [edge(ends) for ends in edges]}


TEXTS = {"a": "text-input", "b": "text-input", "out": "text-output"}


@pytest.mark.parametrize(
    ("edges", "faults"),
    [
        (["a.txt -> out.text"], [("dangling_edge", "a", "txt", "Edge a.txt → out.text: ")]),
        (["a.text -> out.txt"], [("dangling_edge", "out", "txt", "Edge a.text → out.txt: ")]),
        (["x.text -> out.text"], [("dangling_edge", "x", None, "Edge x.text → out.text: ")]),
        (
            ["a.text -> out.text", "b.text -> out.text"],
            [
                (
                    "duplicate_edge",
                    "out",
                    "text",
                    "The input 'text' of 'out' takes one edge, but 2 lead to it: from a.text",
                )
            ],
        ),
    ],
    ids=["no such output", "no such input", "no such node", "two edges into a single port"],
)
def test_edges_that_cannot_be_are_told_one_by_one(engine: PortClient, edges: list[str], faults: list[Any]) -> None:
    name, _, error = engine.open(graph(TEXTS, *edges), session=50, req=50)

    assert (name, error["code"]) == ("error", "invalid_graph")
    found = error["details"]["faults"]
    assert [(fault["code"], fault["node"], fault.get("port")) for fault in found] == [row[:3] for row in faults]
    assert all(fault["message"].startswith(row[3]) for fault, row in zip(found, faults, strict=True))
    assert engine.demand(50, "out", session=50)[3]["code"] == "unknown_session"


def test_two_edges_into_a_single_port_are_both_named(engine: PortClient) -> None:
    _, _, error = engine.open(graph(TEXTS, "a.text -> out.text", "b.text -> out.text"), session=51, req=51)

    assert error["message"].endswith("from a.text and b.text.")


def test_a_million_and_one_nodes_are_refused_and_named_as_too_many(engine: PortClient) -> None:
    packed = pack(["open", 52, 52, {"nodes": [None] * 1_000_001}, {}])
    starts = range(0, len(packed), PART_BYTES)
    for seq, start in enumerate(starts):
        engine.send(["part", 1, seq, seq == len(starts) - 1, packed[start : start + PART_BYTES]])

    name, _, error = engine.until(lambda message: message[0] in ("reply", "error") and message[1] == 52)

    assert (name, error["code"]) == ("error", "invalid_graph")
    assert [fault["code"] for fault in error["details"]["faults"]] == ["too_large"]
    assert error["message"].startswith("The graph has 1,000,001 nodes, and may have 1,000,000 at most")
    engine.ping()


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("returns-a-generator", "unencodable_value"),
        ("gives-its-outputs-one-by-one", "node_failed"),
        ("returns-a-function", "unencodable_value"),
    ],
)
def test_outputs_that_are_no_data_fail_their_node_alone(engine: PortClient, kind: str, code: str) -> None:
    session = {"returns-a-generator": 60, "gives-its-outputs-one-by-one": 61}.get(kind, 62)
    engine.open(graph({"bad": kind, "good": "text-input"}, good={"text": "x"}), session=session, req=session)

    failed = engine.demand(session, "bad", session=session)
    sound = engine.demand(session + 100, "good", session=session)

    assert (failed[0], failed[3]["code"], failed[3]["node_id"]) == ("demand_error", code, "bad")
    assert sound[0] == "demand_complete"


def test_a_generator_is_refused_before_a_consumer_empties_it(engine: PortClient) -> None:
    nodes = {"bad": "returns-a-generator", "one": "counts", "two": "counts"}
    engine.open(graph(nodes, "bad.value -> one.items", "bad.value -> two.items"), session=70, req=70)

    error = engine.demand(70, "one", session=70)[3]

    assert (error["code"], error["node_id"]) == ("unencodable_value", "bad")
    assert "return a list" in error["message"]


def test_a_cached_list_is_what_it_was_whoever_changes_it(engine: PortClient) -> None:
    nodes = {
        "kept": "keeps-its-list-and-is-cached",
        "again": "keeps-its-list",
        "empty": "empties",
        "count": "counts",
    }
    edges = ["kept.value -> empty.items", "kept.value -> count.items"]
    engine.open(graph(nodes, *edges, kept={"count": 1}, again={"count": 2}), session=71, req=71)

    assert engine.demand(71, "kept", session=71)[3] == {"value": [1]}
    assert engine.demand(72, "again", session=71)[3] == {"value": [1, 2]}
    assert engine.demand(73, "empty", session=71)[3] == {"value": []}
    assert engine.demand(74, "count", session=71)[3] == {"value": 1}
    assert engine.demand(75, "again", session=71)[3] == {"value": [1, 2, 2]}
    assert engine.demand(76, "kept", session=71)[3] == {"value": [1]}
