"""When the loop looks for another read before it sleeps, by a clock that goes on by a microsecond at each look."""

from __future__ import annotations

import asyncio
import socket
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from graphport.server.awake import Awake
from graphport.server.loop import new_loop

if TYPE_CHECKING:
    from collections.abc import Callable

CLOSE_US = 300
FAR_US = 600


class Loop:
    """A loop whose turns are counted."""

    def __init__(self) -> None:
        self.now_us = 10_000_000
        self.soon: list[Callable[[], None]] = []
        self.call_soon = self.soon.append
        self.awake = Awake(self, self.clock)  # type: ignore[arg-type]

    def clock(self) -> float:
        self.now_us += 1
        return self.now_us / 1_000_000

    def read(self, after_us: int) -> None:
        self.now_us += after_us
        self.awake.was_read()

    def turns(self) -> int:
        """How often the loop turns before it sleeps."""
        turns = 0
        while self.soon:
            self.soon.pop()()
            turns += 1
        return turns

    def looks(self, reads: int) -> list[int]:
        """Which of so many reads that follow closely, but not during a look, is followed by one."""
        looked = []
        for number in range(reads):
            self.read(CLOSE_US)
            if self.turns():
                looked.append(number)
        return looked


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_after_a_single_read_it_sleeps_at_once(loop: Loop) -> None:
    for _ in range(5):
        loop.read(FAR_US)
        assert loop.turns() == 0


def test_after_two_close_reads_it_looks_for_another_for_100_us(loop: Loop) -> None:
    loop.read(FAR_US)
    loop.read(CLOSE_US)

    assert loop.turns() == 100


def test_as_long_as_it_finds_something_it_goes_on(loop: Loop) -> None:
    loop.read(FAR_US)
    loop.read(CLOSE_US)
    for _ in range(1_000):
        loop.soon.pop()()
        loop.read(50)
        assert len(loop.soon) == 1

    assert loop.turns() == 100


def test_the_more_often_it_looks_in_vain_the_seldomer_it_does(loop: Loop) -> None:
    loop.read(FAR_US)

    looked = loop.looks(400)

    gaps = [after - before for before, after in pairwise(looked)]
    assert looked[0] == 0
    assert gaps == [2, 4, 8, 16, 32, 64, 64, 64, 64, 64]


def test_what_it_finds_makes_up_for_all_that_was_in_vain(loop: Loop) -> None:
    loop.read(FAR_US)
    last = loop.looks(400)[-1]
    assert 399 - last < 64
    while not loop.soon:
        loop.read(CLOSE_US)
    loop.soon.pop()()
    loop.read(50)

    assert loop.turns() == 100
    assert loop.looks(5) == [1]


def test_a_look_that_was_interrupted_and_lost_is_begun_anew(loop: Loop) -> None:
    loop.read(FAR_US)
    loop.read(CLOSE_US)
    loop.soon.clear()
    loop.read(FAR_US)

    assert loop.turns() == 100


def test_a_clock_that_a_tool_freezes_does_not_keep_it_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop()
    loop.awake = Awake(loop)  # type: ignore[arg-type]
    monkeypatch.setattr("graphport.server.awake.monotonic", lambda: 0.0)
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    loop.read(0)
    loop.read(0)

    assert loop.turns() > 0


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, new_loop])
def test_while_it_looks_the_loop_reads_and_runs_what_is_due(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    loop, now, read = make_loop(), 1.0, asyncio.Event()
    theirs, ours = socket.socketpair()

    def readable() -> None:
        ours.recv(1)
        read.set()

    async def look() -> None:
        nonlocal now
        awake = Awake(loop, lambda: now)
        loop.add_reader(ours, readable)
        awake.was_read()
        awake.was_read()
        await asyncio.sleep(0.01)
        theirs.send(b"x")
        await asyncio.wait_for(read.wait(), 10)
        now = 2.0

    with theirs, ours:
        loop.run_until_complete(look())
        loop.remove_reader(ours)
        loop.close()
