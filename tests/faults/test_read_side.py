"""Whoever does not read holds the nodes back, in bounded memory; whatever else is to be said is said all the same."""

from __future__ import annotations

import os
import re
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support.port_client import PortClient

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = os.sysconf("SC_PAGE_SIZE")
MEBI: Final = 1_048_576
# What one demand with a window may keep, with what is on its way, and all of them together.
KEPT_BYTES: Final = 262_144 + 1_048_576 + 65_536
ALL_KEPT_BYTES: Final = 33_554_432
REQUESTS: Final = count(1_000)


@pytest.fixture
def engine() -> Iterator[PortClient]:
    """An engine that has been greeted and holds no graph yet."""
    with PortClient("--nodes", "endless_nodes", folder=Path(__file__).parent) as client:
        client.hello()
        yield client


def load(engine: PortClient, nodes: dict[str, tuple[str, dict[str, Any]]], *, credit: bool = True) -> None:
    """Open session 1 with these nodes and, for each, what says how far it is and whether it lives.

    The global window is no matter unless `credit` is false.
    """
    if credit:
        engine.send(["credit", 1 << 40, 1 << 40])
    rows = [{"id": id_, "type": kind, "data": data} for id_, (kind, data) in nodes.items()]
    for id_ in nodes:
        rows += [{"id": f"far {id_}", "type": "far", "data": {"name": id_}}]
        rows += [{"id": f"alive {id_}", "type": "alive", "data": {"name": id_}}]
    rows += [{"id": "far all", "type": "far-all", "data": {}}]
    assert engine.open({"nodes": rows, "edges": []})[0] == "reply"


def ask(engine: PortClient, node: str) -> Any:
    """What a node answers, which shows that the engine goes on."""
    answer = engine.demand(next(REQUESTS), node)
    assert answer[0] == "demand_complete"
    return answer[3]["value"]


def until_held(engine: PortClient, nodes: int = 1) -> list[int]:
    """Wait until so many nodes have made something and make no more; how much."""
    before: list[int] = []
    same = 0
    while same < 5:
        now = ask(engine, "far all")
        same = same + 1 if now == before and len(now) == nodes else 0
        before = now
    return before


def memory(engine: PortClient) -> int:
    """Bytes of the engine's resident memory."""
    return int(Path(f"/proc/{engine.pid}/statm").read_text().split()[1]) * PAGE


def chunks(engine: PortClient, demand: int) -> list[Any]:
    """What was streamed to a demand so far."""
    return [row[4] for row in engine.messages if row[0] == "node_stream" and row[1] == demand]


def last_messages(engine: PortClient, demand: int) -> list[str]:
    """The codes of a demand's last messages, `complete` for outputs."""
    names = {"demand_complete", "demand_error"}
    rows = [row for row in engine.messages if row[0] in names and row[1] == demand]
    return ["complete" if row[0] == "demand_complete" else row[3]["code"] for row in rows]


@pytest.mark.parametrize("kind", ["text", "bytes", "number"])
@pytest.mark.parametrize("node", ["endless", "endless-thread"])
def test_a_demand_that_is_granted_nothing_holds_its_node_and_goes_on_in_order(
    engine: PortClient, node: str, kind: str
) -> None:
    load(engine, {"n": (node, {"kind": kind, "name": "n"})})
    ask(engine, "far n")
    before = memory(engine)
    engine.send(["demand_async", 1, 1, "n", {"stream": True, "window": 3}])
    (made,) = until_held(engine)
    assert len(chunks(engine, 1)) == 3
    assert memory(engine) - before < 16 * MEBI
    if kind == "bytes":
        assert made * 32_768 < KEPT_BYTES
    warm = memory(engine)
    for _ in range(20):
        have = len(chunks(engine, 1))
        engine.send(["grant", 1, 2])
        while len(chunks(engine, 1)) < have + 2:
            engine.next("node_stream")
        until_held(engine)
    assert len(chunks(engine, 1)) == 43
    assert memory(engine) - warm < 8 * MEBI
    assert in_order(chunks(engine, 1), kind)

    engine.send(["cancel", 1])
    assert engine.answer(1)[3]["code"] == "cancelled"
    while ask(engine, "alive n"):
        pass


def in_order(got: list[Any], kind: str) -> bool:
    """Whether nothing is missing and nothing is twice; the last number of a text may be cut."""
    if kind == "text":
        numbers = [int(word) for word in re.findall(r"(\d+) ", "".join(got))]
    elif kind == "bytes":
        numbers = [int.from_bytes(chunk[:8], "big") for chunk in got]
    else:
        numbers = got
    return numbers == list(range(len(numbers))) and len(numbers) >= len(got) - 1


@pytest.mark.parametrize("kind", ["long text", "bytes"])
def test_two_hundred_demands_that_are_granted_nothing_are_bounded_each_and_together(
    engine: PortClient, kind: str
) -> None:
    ids = [f"n{number}" for number in range(200)]
    load(engine, {id_: ("endless", {"kind": kind, "name": id_}) for id_ in ids})
    before = memory(engine)
    for number, id_ in enumerate(ids):
        engine.send(["demand_async", number, 1, id_, {"stream": True, "window": 1}])
    until_held(engine, 200)
    grown = memory(engine) - before
    assert grown < 3 * ALL_KEPT_BYTES, f"{grown / MEBI:.0f} MiB"
    engine.ping()
    for number in range(200):
        assert len(chunks(engine, number)) == 1

    # Each goes on when it is granted something, whatever the others keep.
    for number in range(0, 200, 20):
        engine.send(["grant", number, 1])
    while any(len(chunks(engine, number)) < 2 for number in range(0, 200, 20)):
        engine.next("node_stream")
    engine.send(["close", 500, 1])
    assert engine.until(lambda row: row[0] == "reply" and row[1] == 500)
    assert all(last_messages(engine, number) == ["cancelled"] for number in range(200))


def test_empty_texts_are_nothing(engine: PortClient) -> None:
    load(engine, {"n": ("endless", {"kind": "empty", "name": "n"})})
    before = memory(engine)
    for options in ({"window": 1}, {}):
        demand = next(REQUESTS)
        engine.send(["demand_async", demand, 1, "n", {"stream": True, **options}])
        start = ask(engine, "far n")
        while ask(engine, "far n") < start + 50_000:
            pass
        assert chunks(engine, demand) == []
        engine.send(["cancel", demand])
        engine.answer(demand)
    assert memory(engine) - before < 8 * MEBI


def test_progress_without_end_takes_no_more_than_the_window_and_the_latest_is_told(engine: PortClient) -> None:
    load(engine, {"n": ("endless-progress", {"name": "n"})})
    before = memory(engine)
    engine.send(["demand_async", 1, 1, "n", {"stream": True, "events": True, "window": 8}])

    def told() -> list[int]:
        rows = [row for row in engine.messages if row[0] == "node_event" and row[3]["event"] == "progress"]
        return [int(row[3]["text"]) for row in rows]

    while ask(engine, "far n") < 100_000:
        pass
    assert told() == list(range(1, 8))
    assert chunks(engine, 1) == ["begun"]
    known = ask(engine, "far n")
    engine.send(["grant", 1, 1])
    while len(told()) < 8:
        engine.next("node_event")
    assert told()[-1] >= known
    assert memory(engine) - before < 8 * MEBI


def test_progress_that_the_pipe_does_not_take_is_kept_once_for_each_node(engine: PortClient) -> None:
    load(
        engine,
        {"n": ("endless-progress", {"name": "n"}), "m": ("endless", {"kind": "bytes", "name": "m"})},
        credit=False,
    )
    before = memory(engine)
    # Without a window, and nothing is credited: the way out is full.
    engine.send(["demand_async", 2, 1, "m", {"stream": True}])
    engine.send(["demand_async", 1, 1, "n", {"stream": True, "events": True}])
    while engine.bytes < 4 * MEBI:
        engine.read()
    # Nobody can ask how far it is. Its processor time shows that it goes on.
    begun = processor_time(engine)
    while processor_time(engine) < begun + 30:
        pass
    assert memory(engine) - before < 40 * MEBI


def processor_time(engine: PortClient) -> int:
    """In hundredths of a second."""
    return int(Path(f"/proc/{engine.pid}/stat").read_text().rsplit(")", 1)[1].split()[11])


def test_without_a_window_the_pipe_holds_the_nodes_and_nothing_is_lost(engine: PortClient) -> None:
    load(
        engine,
        {f"n{number}": ("endless", {"kind": "bytes", "name": f"n{number}"}) for number in range(3)},
        credit=False,
    )
    before = memory(engine)
    for number in range(3):
        engine.send(["demand_async", number, 1, f"n{number}", {"stream": True}])
    while engine.bytes < 4 * MEBI:
        engine.read()
    for _ in range(20):
        engine.send(["credit", engine.frames, engine.bytes])
        wanted = engine.bytes + MEBI
        while engine.bytes < wanted:
            engine.read()
    assert memory(engine) - before < 64 * MEBI
    for number in range(3):
        engine.send(["cancel", number])
    engine.send(["credit", 1 << 40, 1 << 40])
    for number in range(3):
        assert engine.answer(number)[3]["code"] == "cancelled"
        assert in_order(chunks(engine, number), "bytes")
        assert len(chunks(engine, number)) > 20


def test_a_long_answer_is_not_kept_back_for_ever_by_streams_that_fill_the_pipe(engine: PortClient) -> None:
    load(
        engine, {"n": ("endless", {"kind": "bytes", "name": "n"}), "long": ("zeros", {"size": 2 * MEBI})}, credit=False
    )
    engine.send(["demand_async", 1, 1, "n", {"stream": True}])
    engine.next("node_stream")
    engine.send(["demand_async", 2, 1, "long", {}])
    while not last_messages(engine, 2):
        # What was read is credited late, so that the window is always all but shut.
        engine.send(["credit", engine.frames, max(engine.bytes - 3 * MEBI, 0)])
        engine.read()
        assert engine.bytes < 400 * MEBI
    assert last_messages(engine, 2) == ["complete"]


def test_a_cached_stream_is_not_copied_for_those_who_do_not_take_it(engine: PortClient) -> None:
    load(engine, {"n": ("repeats", {"size": 20_000_000})})
    assert engine.demand(1, "n")[0] == "demand_complete"
    before = memory(engine)
    for number in range(100, 200):
        engine.send(["demand_async", number, 1, "n", {"stream": True, "window": 1}])
    engine.ping()
    assert memory(engine) - before < 16 * MEBI
    assert all(not last_messages(engine, number) for number in range(100, 200))

    engine.send(["grant", 150, 2_000])
    engine.answer(150)
    assert "".join(chunks(engine, 150)) == "x" * 20_000_000
    # Those who have no window get it through the pipe's own.
    engine.send(["demand_async", 300, 1, "n", {"stream": True}])
    engine.answer(300)
    assert "".join(chunks(engine, 300)) == "x" * 20_000_000


@pytest.mark.parametrize(
    ("then", "code"), [("", "deadline_exceeded"), ("raises", "node_failed")], ids=["done", "failed"]
)
def test_an_answer_that_waits_for_grants_comes_by_the_deadline(engine: PortClient, then: str, code: str) -> None:
    load(engine, {"n": ("counts-to", {"n": 10, "then": then})})
    engine.send(["demand_async", 1, 1, "n", {"stream": True, "window": 2, "deadline_ms": 300}])
    engine.answer(1)
    engine.send(["grant", 1, 100])
    engine.ping()

    assert last_messages(engine, 1) == [code]
    assert chunks(engine, 1) == [0, 1]


def test_a_cached_answer_behind_its_chunks_has_one_end_if_its_deadline_is_now(engine: PortClient) -> None:
    load(engine, {"n": ("counts-to", {"n": 10})})
    engine.demand(1, "n", stream=True)
    engine.send(["demand_async", 2, 1, "n", {"stream": True, "window": 2, "deadline_ms": 0}])
    engine.answer(2)
    engine.send(["grant", 2, 100])
    engine.ping()
    assert last_messages(engine, 2) == ["deadline_exceeded"]


def test_an_answer_that_is_granted_in_time_has_no_deadline_left(engine: PortClient) -> None:
    load(engine, {"n": ("counts-to", {"n": 10}), "m": ("counts-to", {"n": 10, "then": "raises"})})
    for demand, node in ((1, "n"), (2, "m")):
        engine.send(["demand_async", demand, 1, node, {"stream": True, "window": 2, "deadline_ms": 60_000}])
        engine.send(["grant", demand, 100])
        engine.answer(demand)
    assert last_messages(engine, 1) == ["complete"]
    assert last_messages(engine, 2) == ["node_failed"]
    assert chunks(engine, 1) == chunks(engine, 2) == list(range(10))


def test_a_node_that_stops_itself_loses_nothing_that_waits(engine: PortClient) -> None:
    load(engine, {"n": ("counts-to", {"n": 10, "then": "stops"})})
    engine.send(["demand_async", 1, 1, "n", {"stream": True, "window": 2}])
    engine.send(["grant", 1, 100])
    engine.answer(1)
    assert last_messages(engine, 1) == ["shutting_down"]
    assert chunks(engine, 1) == list(range(10))


def test_a_broken_demand_with_the_number_of_one_that_waits_is_not_its_end(engine: PortClient) -> None:
    load(engine, {"n": ("counts-to", {"n": 10})})
    engine.send(["demand_async", 1, 1, "n", {"stream": True, "window": 2}])
    until_held(engine)
    engine.send(["demand_async", 1, 1, "n", {"window": "wide"}])
    assert engine.next("error")[2]["code"] == "bad_message"
    engine.send(["grant", 1, 100])
    engine.answer(1)
    assert last_messages(engine, 1) == ["complete"]
    assert chunks(engine, 1) == list(range(10))


def test_a_demand_that_waits_past_its_deadline_ends_its_node(engine: PortClient) -> None:
    for node in ("endless", "endless-thread"):
        load_and_expire(engine, node)


def load_and_expire(engine: PortClient, node: str) -> None:
    """Let a node's only demand, which takes nothing, reach its deadline."""
    demand, session, req = next(REQUESTS), next(REQUESTS), next(REQUESTS)
    nodes = [
        {"id": "n", "type": node, "data": {"name": node}},
        {"id": "alive", "type": "alive", "data": {"name": node}},
    ]
    engine.open({"nodes": nodes, "edges": []}, session=session, req=req)
    engine.send(["demand_async", demand, session, "n", {"stream": True, "window": 1, "deadline_ms": 200}])
    assert engine.answer(demand)[3]["code"] == "deadline_exceeded"
    while engine.demand(next(REQUESTS), "alive", session=session)[3]["value"]:
        pass
    assert last_messages(engine, demand) == ["deadline_exceeded"]


@pytest.mark.parametrize("end", ["cancel", "grant"])
def test_of_two_who_share_a_node_the_one_who_takes_nothing_holds_the_other_until_it_leaves(
    engine: PortClient, end: str
) -> None:
    load(engine, {"n": ("counts-to", {"n": 50_000, "name": "n"})})
    engine.send(["demand_async", 1, 1, "n", {"stream": True, "window": 1}])
    engine.send(["demand_async", 2, 1, "n", {"stream": True, "window": 1_000_000}])
    # The other is let on as far as the first may keep, and no further.
    (made,) = until_held(engine)
    assert made < 30_000

    engine.send(["cancel", 1] if end == "cancel" else ["grant", 1, 1_000_000])
    engine.answer(2)
    engine.answer(1)
    assert last_messages(engine, 2) == ["complete"]
    assert chunks(engine, 2) == list(range(50_000))
    assert last_messages(engine, 1) == (["cancelled"] if end == "cancel" else ["complete"])


def test_a_demand_that_the_beam_holds_keeps_its_chunks_and_goes_on(engine: PortClient) -> None:
    load(engine, {"n": ("endless", {"kind": "text", "name": "n"})})
    engine.send(["demand_async", 1, 1, "n", {"stream": True}])
    engine.next("node_stream")
    engine.send(["hold", 1, True])
    engine.send(["hold", 77, True])
    until_held(engine)
    engine.send(["hold", 1, False])
    have = len(chunks(engine, 1))
    while len(chunks(engine, 1)) < have + 10:
        engine.next("node_stream")
    engine.send(["hold", 1, True])
    until_held(engine)
    engine.send(["cancel", 1])
    engine.answer(1)

    assert last_messages(engine, 1) == ["cancelled"]
    assert in_order(chunks(engine, 1), "text")
