"""What nodes say becomes log messages: whole, bounded, and never at the cost of the node or of answers."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from graphport.core.errors import WireError
from graphport.server.descriptors import CapturedFds
from graphport.server.logs import PENDING_BYTES, LogCapture, LogOutlet
from graphport.wire.codec import unpack
from graphport.wire.limits import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


class Box:
    """Stands in for the outbox."""

    def __init__(self) -> None:
        self.congested = False
        self.logs: list[Any] = []
        self._came = asyncio.Event()

    def send(self, packed: bytes) -> None:
        assert len(packed) <= MAX_FRAME_BYTES
        self.logs.append(unpack(packed)[1:])
        self._came.set()

    async def until(self, count: int) -> None:
        while len(self.logs) < count:
            self._came.clear()
            await self._came.wait()

    def texts(self) -> list[str]:
        return [row[2] for row in self.logs]


class Captured:
    """A capture of streams and of two pipes of our own."""

    def __init__(self) -> None:
        self.box = Box()
        self.loop = asyncio.get_running_loop()
        self.outlet = LogOutlet(self.loop, self.box)  # type: ignore[arg-type]
        self.out_read, self.out = os.pipe()
        self.err_read, self.err = os.pipe()
        for fd in (self.out_read, self.err_read):
            os.set_blocking(fd, False)
        self.capture = LogCapture(self.loop, self.outlet, CapturedFds(self.out_read, self.err_read))
        self.streams = (sys.stdout, sys.stderr)
        self.handlers = logging.getLogger().handlers[:1]

    def take_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Once more: pytest puts its own streams and handlers back before a test begins."""
        monkeypatch.setattr(logging.getLogger(), "handlers", self.handlers)
        monkeypatch.setattr(sys, "stdout", self.streams[0])
        monkeypatch.setattr(sys, "stderr", self.streams[1])

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def captured() -> AsyncIterator[Captured]:
    root = logging.getLogger()
    kept = (root.handlers[:], root.level, sys.stdout, sys.stderr)
    made = Captured()
    try:
        yield made
    finally:
        root.handlers[:], sys.stdout, sys.stderr = kept[0], kept[2], kept[3]
        root.setLevel(kept[1])
        logging.captureWarnings(False)
        for fd in (made.out_read, made.err_read):
            made.loop.remove_reader(fd)
        for fd in (made.out_read, made.err_read, made.out, made.err):
            os.close(fd)


async def test_a_record_that_cannot_be_formatted_does_not_fail_the_node(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured.take_over(monkeypatch)
    logging.getLogger("bad").warning("%d", "no number")
    logging.getLogger("good").warning("fine")
    await captured.settle()

    assert "fine" in captured.box.texts()
    assert any("no number" in text for text in captured.box.texts()), "it is told what was wrong"


async def test_names_and_facts_of_any_size_and_kind_travel(captured: Captured) -> None:
    logging.getLogger("\ud800" * 3_000_000).warning("first")
    logging.getLogger("x").warning("second", extra={"graphport": {"node_id": "n" * 3_000_000, "n": 1 << 50_000}})
    logging.getLogger("x").warning("third \ud800")
    await captured.settle()

    assert captured.box.texts() == ["first", "second", "third ?"]


async def test_a_long_line_is_cut_and_a_flood_is_counted(captured: Captured) -> None:
    captured.box.congested = True
    for _ in range(2_000):
        captured.outlet.put("info", "l", "x" * 100_000)
    captured.box.congested = False
    captured.outlet._deliver()

    kept = captured.box.logs[:-1]
    assert max(len(row[2]) for row in kept) <= 8_192
    assert sum(len(row[2]) for row in kept) <= PENDING_BYTES
    assert captured.box.logs[-1][3] == {"dropped": 2_000 - len(kept)}


async def test_lines_wait_while_answers_are_behind(captured: Captured) -> None:
    captured.box.congested = True
    captured.outlet.put("info", "l", "later")
    await captured.settle()
    assert not captured.box.logs

    captured.box.congested = False
    captured.outlet._deliver()

    assert captured.box.texts() == ["later"]


async def test_prints_are_cut_into_lines_and_the_last_one_needs_no_end(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured.take_over(monkeypatch)
    sys.stdout.write("one\ntwo\nhalf")
    sys.stderr.write("err")
    sys.stderr.flush()
    captured.capture.finish()
    await captured.settle()

    assert sorted((row[0], row[1], row[2]) for row in captured.box.logs) == [
        ("info", "stdout", "half"),
        ("info", "stdout", "one"),
        ("info", "stdout", "two"),
        ("warning", "stderr", "err"),
    ]


async def test_a_line_without_its_end_is_told_after_a_moment(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured.take_over(monkeypatch)
    sys.stdout.write("50 %")
    os.write(captured.err, b"from C")
    await captured.box.until(2)
    sys.stdout.write("done\n")
    await captured.settle()

    assert sorted(captured.box.texts()[:2]) == ["50 %", "from C"]
    assert captured.box.texts()[2:] == ["done"]


async def test_what_a_record_was_given_as_extra_travels_with_it(captured: Captured) -> None:
    given = {"order": 7, "ok": True, "thing": object(), "graphport": {"node_id": "n"}}
    logging.getLogger("x").error("failed", extra=given)
    await captured.settle()

    (level, logger, text, meta) = captured.box.logs[0]
    assert (level, logger, text) == ("error", "x", "failed")
    assert meta.keys() == {"order", "ok", "node_id", "thread", "line", "file"}
    assert (meta["order"], meta["ok"], meta["node_id"]) == (7, True, "n")


async def test_bytes_on_the_descriptors_are_logged_even_if_they_are_no_text(captured: Captured) -> None:
    os.write(captured.out, b"caf\xc3\xa9 \xff\nrest")
    os.write(captured.out, b" of it\n")
    await captured.settle()

    assert captured.box.texts() == ["café \ufffd", "rest of it"]


async def test_a_closed_descriptor_is_no_longer_watched(captured: Captured) -> None:
    os.close(captured.out)
    captured.out = os.open(os.devnull, os.O_WRONLY)
    await captured.settle()

    assert not captured.loop.remove_reader(captured.out_read), "or the loop would spin"


def test_the_codec_refuses_what_the_outlet_has_to_clean() -> None:
    from graphport.wire.messages import log

    with pytest.raises(WireError):
        log("info", "\ud800", "", {})
