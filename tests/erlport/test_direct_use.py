"""The direct door: what an app gets that calls `graphport.erlport` through ErlPort itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.erlport_client import OK, OWNER, OWNER_TERM, CallFailed, ErlPortClient

if TYPE_CHECKING:
    from collections.abc import Iterator

NODES = Path(__file__).parents[1] / "port"
GRAPH = {
    "nodes": [
        {"id": "in", "type": "text-input", "data": {"text": "hello"}},
        {"id": "out", "type": "text-output"},
    ],
    "edges": [{"source": "in", "source_handle": "text", "target": "out", "target_handle": "text"}],
}


def one(kind: str, **data: Any) -> dict[str, Any]:
    return {"nodes": [{"id": "n", "type": kind, "data": data}], "edges": []}


@pytest.fixture
def erlport() -> Iterator[ErlPortClient]:
    with ErlPortClient(folders=[NODES]) as client:
        yield client


def opened(erlport: ErlPortClient, graph: dict[str, Any], *, nodes: bool = False) -> None:
    if nodes:
        assert erlport.ask("start", {"nodes": ["unruly_nodes"]}) == OK
    assert erlport.ask("open", {"session": 1, "graph": graph}) == OK
    assert erlport.message()[:2] == ("open_complete", 1)


def test_a_demand_is_answered_by_a_message(erlport: ErlPortClient) -> None:
    assert erlport.ask("open", {"session": 1, "graph": GRAPH}) == OK
    assert erlport.message() == ("open_complete", 1, {"revision": 1, "nodes": 2, "sinks": ["out"]})
    for inputs, text in (({}, "hello"), ({"in": {"text": "you"}}, "you"), ({}, "hello")):
        assert erlport.ask("demand_async", {"session": 1, "node": "out", "inputs": inputs}) == OK
        assert erlport.message() == ("demand_complete", "out", {"text": text})


def test_requests_are_carried_out_in_order_without_waiting(erlport: ErlPortClient) -> None:
    erlport.ask("open", {"session": 7, "graph": GRAPH})
    erlport.ask("demand_async", {"session": 7, "node": ["in", "out"]})
    erlport.ask("close", {"session": 7})
    erlport.ask("demand_async", {"session": 7, "node": "*"})

    assert erlport.message()[:2] == ("open_complete", 7)
    pid, (word, nodes, _packed) = erlport.receive()
    assert (pid, word, list(nodes)) == (OWNER, b"demand_complete", [b"in", b"out"])
    word, node, error = erlport.message()
    assert (word, node, error["code"]) == ("demand_error", "*", "unknown_session")


def test_chunks_come_before_the_last_message(erlport: ErlPortClient) -> None:
    opened(erlport, one("count", to=50), nodes=True)
    erlport.ask("demand_async", {"session": 1, "node": "n", "stream": True, "events": True})

    heard = [erlport.message()]
    while heard[-1][0] not in ("demand_complete", "demand_error"):
        heard.append(erlport.message())

    assert heard[-1][0] == "demand_complete"
    chunks = [value for word, node, value in heard if (word, node) == ("node_stream", "n")]
    assert len(chunks) == 50
    assert [value["event"] for word, _node, value in heard if word == "node_event"] == [
        "planned",
        "started",
        "completed",
    ]


def test_errors_say_what_is_wrong(erlport: ErlPortClient) -> None:
    assert erlport.ask("open", {"session": 1, "graph": one("no-such-type")}) == OK
    word, session, error = erlport.message()
    assert (word, session, error["code"]) == ("open_error", 1, "invalid_graph")
    assert [fault["code"] for fault in error["details"]["faults"]] == ["unknown_type"]
    erlport.ask("demand_async", {"session": 9, "node": "n"})
    word, node, error = erlport.message()
    assert (word, node, error["code"]) == ("demand_error", "n", "unknown_session")


def test_a_demand_is_cancelled_by_its_name(erlport: ErlPortClient) -> None:
    opened(erlport, one("sleep-long"), nodes=True)
    erlport.ask("demand_async", {"session": 1, "node": "n", "demand": "mine"})
    erlport.ask("demand_async", {"session": 1, "node": "n", "demand": "mine"})
    word, node, error = erlport.message()
    assert (word, node, error["code"]) == ("demand_error", "n", "duplicate_id")

    erlport.ask("cancel", {"demand": "another"})
    erlport.ask("cancel", {"demand": "mine"})

    word, node, error = erlport.message()
    assert (word, node, error["code"]) == ("demand_error", "n", "cancelled")
    erlport.ask("demand_async", {"session": 1, "node": "n", "demand": "mine", "deadline_ms": 1})
    assert erlport.message()[2]["code"] == "deadline_exceeded"


@pytest.mark.parametrize(
    ("function", "payload", "text"),
    [
        ("demand_async", {"session": 1}, "node"),
        ("demand_async", {"session": 1, "node": "n", "nodes": 1}, "unknown option 'nodes'"),
        ("demand_async", {"session": 1, "node": "n", "deadline_ms": "soon"}, "deadline_ms"),
        ("demand_async", {"session": 1, "node": "n", "demand": 1.5}, "`demand` is a number or a short text"),
        ("open", {"session": "one", "graph": GRAPH}, "session"),
        ("close", {}, "session"),
        ("start", {"nodes": "mine"}, "`nodes` is a list"),
    ],
)
def test_a_wrong_payload_raises_in_the_call(
    erlport: ErlPortClient, function: str, payload: dict[str, Any], text: str
) -> None:
    with pytest.raises(CallFailed, match=text) as raised:
        erlport.ask(function, payload)

    assert raised.value.args[0] == "graphport.core.errors.WireError"
    opened(erlport, GRAPH)


def test_a_payload_that_is_no_binary_raises(erlport: ErlPortClient) -> None:
    with pytest.raises(CallFailed, match="a binary of MessagePack"):
        erlport.call("demand_async", OWNER_TERM, [1, 2, 3])
    with pytest.raises(CallFailed, match="a MessagePack map"):
        erlport.call("demand_async", OWNER_TERM, b"\x01")


def test_modules_that_cannot_be_imported_raise_in_start(erlport: ErlPortClient) -> None:
    with pytest.raises(CallFailed, match="no_such_module_anywhere"):
        erlport.ask("start", {"nodes": ["no_such_module_anywhere"]})
    opened(erlport, GRAPH, nodes=True)


def test_a_started_engine_is_not_started_again(erlport: ErlPortClient) -> None:
    opened(erlport, GRAPH, nodes=True)
    with pytest.raises(CallFailed, match="in use already"):
        erlport.ask("start", {})
    with pytest.raises(CallFailed, match="in use already"):
        erlport.call("serve", OWNER_TERM, OWNER_TERM, [])


def test_an_output_without_a_form_on_the_wire_is_an_error(erlport: ErlPortClient) -> None:
    opened(erlport, one("give", what="object"), nodes=True)
    erlport.ask("demand_async", {"session": 1, "node": "n"})
    assert erlport.message()[2]["code"] == "unencodable_value"


@pytest.mark.parametrize("stdio", [True, False])
def test_what_a_node_says_does_not_harm_the_wire(stdio: bool) -> None:
    with ErlPortClient(folders=[NODES], stdio=stdio) as erlport:
        opened(erlport, one("talk", text="hey"), nodes=True)
        erlport.ask("demand_async", {"session": 1, "node": "n"})
        assert erlport.message() == ("demand_complete", "n", {"value": "hey"})
        erlport.ask("demand_async", {"session": 1, "node": "nobody"})
        assert erlport.message()[2]["code"] == "unknown_node"
        assert "hey print" in erlport.printed
        assert "hey fd1" not in erlport.printed


def test_the_process_ends_when_the_port_closes(erlport: ErlPortClient) -> None:
    opened(erlport, one("sleep-long"), nodes=True)
    erlport.ask("demand_async", {"session": 1, "node": "n"})

    erlport.hang_up()

    assert erlport.process.wait(30) == 0


def test_nodes_are_stopped_before_the_process_ends(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with ErlPortClient(folders=[Path(__file__).parent]) as erlport:
        assert erlport.ask("start", {"nodes": ["tidy_nodes"]}) == OK
        opened(erlport, one("tidy", path=str(path)))
        erlport.ask("demand_async", {"session": 1, "node": "n", "events": True})
        while erlport.message()[2].get("event") != "started":
            pass

        erlport.hang_up()

        assert erlport.process.wait(30) == 0
    assert path.read_text() == "tidied"
