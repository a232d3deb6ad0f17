"""An engine ends with its pipe, whatever its nodes are doing."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from tests.port.conftest import FOLDER
from tests.support.port_client import PortClient

# More than the second it has, and the start-up of an interpreter on a busy machine, is too much.
SOON_S = 8.0


def ended(pid: int, within_s: float = SOON_S) -> bool:
    """Whether a process that is nobody's child here ends, or has ended; a zombie has."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    return False


def one(kind: str) -> dict[str, list[dict[str, object]]]:
    return {"nodes": [{"id": "n", "type": kind, "data": {}}], "edges": []}


@pytest.mark.parametrize("stdio", [False, True], ids=["fds 3 and 4", "stdio"])
@pytest.mark.parametrize("kind", ["sleep-long", "spin"])
def test_end_of_file_ends_it_while_a_node_is_busy(kind: str, stdio: bool) -> None:
    with PortClient("--nodes", "unruly_nodes", folder=FOLDER, stdio=stdio) as engine:
        engine.hello()
        engine.open(one(kind))
        engine.send(["demand_async", 1, 1, "n", {}])
        if kind == "sleep-long":
            engine.ping()
        began = time.monotonic()
        engine.close_input()

        left = [message for message in engine.rest() if message[0] not in ("log", "credit")]

        assert engine.wait() == 0
        assert time.monotonic() - began < SOON_S
        assert not left, "nothing is answered any more"


def test_it_ends_when_nobody_reads(engine: PortClient) -> None:
    engine.open(one("sleep-long"))
    engine.close_output()
    engine.send(["ping", 1])

    assert engine.wait() == 0


def test_half_a_frame_and_then_the_end_is_an_end(engine: PortClient) -> None:
    engine.send_raw(b"\x00\x00\x10\x00half")
    engine.close_input()

    assert not [message for message in engine.rest() if message[0] == "error"]
    assert engine.wait() == 0


def test_a_child_that_a_node_forked_does_not_keep_the_pipe_open_and_ends_with_the_engine(engine: PortClient) -> None:
    engine.open(one("fork"))
    child = engine.demand(1, "n")[3]["value"]
    # It has let go of the wire by then.
    if not any(message[0] == "log" and "forked fd1" in message[3] for message in engine.messages):
        engine.logged("forked fd1")
    os.kill(child, signal.SIGSTOP)
    engine.ping()
    engine.close_input()

    engine.rest()  # comes to its end although the child is there

    assert engine.wait() == 0
    assert ended(child)


def test_a_program_that_a_node_started_is_the_nodes_affair(engine: PortClient) -> None:
    engine.open(one("start-program"))
    program = engine.demand(1, "n")[3]["value"]
    try:
        engine.close_input()
        engine.rest()

        assert engine.wait() == 0
        assert not ended(program, within_s=0.2)
    finally:
        os.kill(program, signal.SIGKILL)


def test_a_demand_with_a_deadline_is_answered_while_its_thread_sleeps(engine: PortClient) -> None:
    engine.open(one("sleep-long"))

    answer = engine.demand(1, "n", deadline_ms=1)

    assert answer[:3] == ["demand_error", 1, "n"]
    assert answer[3]["code"] == "deadline_exceeded"
    engine.ping()
