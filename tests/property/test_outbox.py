"""Random interleavings of what the evaluator sends and what the BEAM says, against what arrives.

With limits so small that every one of them is met: for each demand everything arrives in order, all of it if the demand
completed; exactly one last message, and nothing after it; no more than was granted, and no more unread than the window.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.support.wire import Wire

from graphport.core.errors import DemandStopped, NodeError
from graphport.server import bulk, outbox, pending, window
from graphport.server.outbox import Outbox
from graphport.wire.codec import unpack

LIMITS: dict[Any, dict[str, int]] = {
    outbox: {
        "READ_WINDOW_BYTES": 400,
        "BULK_WINDOW_BYTES": 300,
        "PART_BYTES": 90,
        "CONGESTED_BYTES": 600,
        "_BETWEEN_PARTS_BYTES": 150,
        "_AT_ONCE_BYTES": 100,
        "_LARGEST_TEXT": 20,
        "_BACKLOG_MESSAGES": 3,
    },
    bulk: {"PART_BYTES": 90, "_KEPT_BYTES": 300},
    pending: {"JOINED_CHARACTERS": 20, "REPLAY_CHARACTERS": 8},
    window: {"KEPT_BYTES": 60, "ALL_KEPT_BYTES": 100},
}
# A frame may begin while the window is all but full: the longest message, its part's head, and a batch's.
ONE_FRAME = 150
DEMANDS = range(1, 5)
CHUNKS = st.one_of(
    st.text("abé", max_size=50), st.integers(0, 9), st.binary(min_size=1, max_size=5), st.just(b"long" * 60)
)
STEPS = st.one_of(
    st.tuples(st.just("chunk"), st.sampled_from(DEMANDS), st.sampled_from("pq"), CHUNKS),
    st.tuples(st.just("chunk"), st.sampled_from(DEMANDS), st.just("p"), st.text("ab", min_size=1, max_size=9)),
    st.tuples(st.just("replay"), st.sampled_from(DEMANDS), st.lists(CHUNKS, max_size=4)),
    st.tuples(st.just("progress"), st.sampled_from(DEMANDS), st.sampled_from("nm")),
    st.tuples(st.just("grant"), st.sampled_from(DEMANDS), st.integers(1, 6)),
    st.tuples(st.just("shut"), st.sampled_from(DEMANDS)),
    st.tuples(st.just("reopen"), st.sampled_from(DEMANDS)),
    st.tuples(st.just("end"), st.sampled_from(DEMANDS), st.sampled_from(["complete", "fail", "cancel", "late"])),
    st.tuples(st.just("stop"), st.sampled_from(DEMANDS)),
    st.tuples(st.just("credit"), st.floats(0, 1)),
    st.tuples(st.just("backlog"), st.sampled_from([0, 0, 500])),
    st.tuples(st.just("flush")),
)


class Conversation:
    """An outbox, what it was told of each demand, and the window each of them has."""

    def __init__(self, windows: dict[int, int]) -> None:
        self.wire = Wire()
        self.box = Outbox(asyncio.get_running_loop(), self.wire)
        self.windows = windows
        self.granted = dict(windows)
        for demand, chunks in windows.items():
            self.box.open_window(demand, chunks)
        self.given: dict[int, list[Any]] = {demand: [] for demand in DEMANDS}
        self.told: dict[tuple[int, str], int] = {}
        self.ended: dict[int, str] = {}
        self.credited = 0
        self.written = 0

    def take(self, step: tuple[Any, ...]) -> None:
        """Carry a step out as the evaluator or the connection would."""
        what, *arguments = step
        if what in ("chunk", "replay", "progress", "end") and arguments[0] in self.ended:
            return
        getattr(self, what)(*arguments)
        if self.wire.payload_bytes > self.written:
            self.written = self.wire.payload_bytes
            assert self.written - self.credited <= LIMITS[outbox]["READ_WINDOW_BYTES"] + 2 * ONE_FRAME

    def chunk(self, demand: int, port: str, chunk: Any) -> None:
        self.box.chunk(demand, "n", port, chunk)
        self.given[demand] += atoms(port, chunk)

    def replay(self, demand: int, chunks: list[Any]) -> None:
        self.box.replay(demand, "n", [("p", chunk) for chunk in chunks])
        self.given[demand] += [atom for chunk in chunks for atom in atoms("p", chunk)]

    def progress(self, demand: int, node: str) -> None:
        step = self.told[demand, node] = self.told.get((demand, node), 0) + 1
        self.box.event(demand, node, {"event": "progress", "fraction": step, "text": ""})

    def grant(self, demand: int, chunks: int) -> None:
        if demand in self.granted:
            self.granted[demand] += chunks
        self.box.grant(demand, chunks if demand in self.windows else 0)

    def shut(self, demand: int) -> None:
        if demand not in self.ended:
            self.box.shut(demand)

    def reopen(self, demand: int) -> None:
        self.box.reopen(demand)

    def end(self, demand: int, how: str) -> None:
        self.ended[demand] = how
        if how == "complete":
            self.box.complete(demand, "n", {"v": "x" * 200}, {})
        elif how == "late":
            self.box.complete(demand, "n", {}, {})
            if self.box.holds(demand):
                self.ended[demand] = "either"  # it may be sent just before the timer comes
                self.box.ends_by(demand, "n", 0, DemandStopped("late", code="deadline_exceeded"))
        elif how == "fail":
            self.box.fail(demand, "n", NodeError("failed"))
        else:
            self.box.fail(demand, "n", DemandStopped("cancelled", code="cancelled"))

    def stop(self, demand: int) -> None:
        """A cancel, of a demand that may be done."""
        if demand not in self.ended:
            self.end(demand, "cancel")
        elif self.box.holds(demand):
            self.box.cancel(demand)
            self.ended[demand] = "cancel"

    def credit(self, share: float) -> None:
        self.credited += int((self.wire.payload_bytes - self.credited) * share)
        self.box.credited(self.credited)
        self.flush()

    def backlog(self, size: int) -> None:
        self.wire.backlog = size
        if not size:
            self.wire.room()

    def flush(self) -> None:
        self.box.flush()

    def finish(self) -> None:
        """Read everything, grant everything, end everything."""
        self.wire.backlog = 0
        for demand in DEMANDS:
            if demand not in self.ended:
                self.end(demand, "complete")
            self.reopen(demand)
        read = -1
        while self.wire.payload_bytes > read:
            read = self.wire.payload_bytes
            for demand in DEMANDS:
                self.grant(demand, 100)
            self.credit(1)


def atoms(port: str, chunk: Any) -> list[Any]:
    """A chunk as what must arrive in order: characters, whatever they are cut into, and other values."""
    return [(port, letter) for letter in chunk] if isinstance(chunk, str) else [(port, "value", chunk)]


def arrived(rows: list[Any]) -> dict[int, list[Any]]:
    """Messages by demand, those that came in parts put together; parts that were given up count for nothing."""
    found: dict[int, list[Any]] = {demand: [] for demand in DEMANDS}
    parts: dict[int, list[bytes]] = {}
    for row in rows:
        if row[0] != "part":
            parts.pop(row[1], None)
            found[row[1]].append(row)
            continue
        _, number, seq, last, data = row
        assert len(parts.setdefault(number, [])) == seq
        parts[number].append(data)
        if last:
            found[number].append(unpack(b"".join(parts.pop(number))))
    assert not parts
    return found


def check(demand: int, conversation: Conversation, rows: list[Any]) -> None:
    how = conversation.ended[demand]
    names = [row[0] for row in rows]
    assert set(names[:-1]) <= {"node_stream", "node_event"}
    if how == "either":
        how = "complete" if names[-1] == "demand_complete" else "cancel"
    assert names[-1] == ("demand_complete" if how in ("complete", "late") else "demand_error")
    got = [atom for row in rows if row[0] == "node_stream" for atom in atoms(row[3], row[4])]
    given_atoms = conversation.given[demand]
    if how == "cancel":
        assert got == given_atoms[: len(got)]
    else:
        assert got == given_atoms
    for node in "nm":
        told = [row[3]["fraction"] for row in rows if row[0] == "node_event" and row[2] == node]
        assert told == sorted(set(told))
        if how != "cancel" and (demand, node) in conversation.told:
            assert told[-1] == conversation.told[demand, node]
    event(how)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(DEMANDS), st.integers(1, 4), max_size=3), st.lists(STEPS, max_size=60))
def test_each_demands_messages_arrive_in_order_within_all_bounds(
    windows: dict[int, int], steps: list[tuple[Any, ...]]
) -> None:
    async def run() -> None:
        conversation = Conversation(windows)
        for step in steps:
            conversation.take(step)
            if step[0] == "end" and step[2] == "late":
                await asyncio.sleep(0.0)  # timers that are due
                await asyncio.sleep(0.0)
            sent = Counter(row[1] for row in conversation.wire.messages if row[0] in ("node_stream", "node_event"))
            for demand, granted in conversation.granted.items():
                assert sent[demand] <= granted
        conversation.finish()
        by_demand = arrived(conversation.wire.messages)
        for demand in DEMANDS:
            check(demand, conversation, by_demand[demand])
            assert not conversation.box.holds(demand)
        assert conversation.box.kept_bytes == 0
        assert not conversation.box.congested

    with ExitStack() as patched:
        for module, values in LIMITS.items():
            for name, value in values.items():
                patched.enter_context(patch.object(module, name, value))
        asyncio.run(run())
