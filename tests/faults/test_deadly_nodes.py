"""What becomes of an engine whose process a node has damaged: it goes on, or ends at once and its pipe with it."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.faults import deadly_nodes
from tests.faults.conftest import FOLDER
from tests.support.port_client import PortClient

if TYPE_CHECKING:
    from collections.abc import Iterator

FINE: Final = "complete"

# Node type: what its demand is answered with. The engine goes on.
SURVIVED: Final = {
    "closes-the-low-fds": FINE,
    "breaks-time-and-json": FINE,
    "stops-time": FINE,
    "takes-all-memory": "node_failed",
    "takes-all-memory-on-the-loop": "node_failed",
    "forbids-new-fds": FINE,
    "allows-little-recursion": FINE,
    "forgets-all-modules": FINE,
    "exits-at-exit": FINE,
    "has-a-signal-handler-that-raises": FINE,
    "forks-a-child-that-goes-on": FINE,
    "forks-on-the-loop": FINE,
}
# Node type: the exit status of the engine, negative for a signal; `uvloop` aborts where asyncio's loop raises.
DEADLY: Final = {
    "exits-the-process": {3},
    "segfaults": {-signal.SIGSEGV},
    "kills-itself": {-signal.SIGSEGV},
    "aborts": {-signal.SIGABRT},
    "sets-an-alarm": {-signal.SIGALRM},
    "runs-another-program": {0},
    "closes-every-fd": {70, -signal.SIGABRT},
    "interrupts-the-loop-for-ever": {70},
    "has-a-signal-handler-that-interrupts-the-engine": {70},
}
# These leave the engine time to say why.
TOLD: Final = {"interrupts-the-loop-for-ever", "has-a-signal-handler-that-interrupts-the-engine"}
PARENTS: Final = ("leaves-a-forked-child", "leaves-a-program", "leaves-a-child-that-writes-everywhere")
BESIDE: Final = ("fine", "sleeps")
# Of address space, beyond what the engine has.
ROOM_BYTES: Final = 256 << 20


@pytest.fixture
def engine() -> Iterator[PortClient]:
    with PortClient("--nodes", "deadly_nodes", folder=FOLDER) as client:
        client.hello()
        for session, kind in enumerate(BESIDE, 1):
            client.open(one(kind), session=session, req=session)
        yield client


def one(kind: str) -> dict[str, Any]:
    return {"nodes": [{"id": "n", "type": kind, "data": {}}], "edges": []}


def test_every_node_has_its_line() -> None:
    types = {name.replace("_", "-") for name, each in vars(deadly_nodes).items() if hasattr(each, "__graphport_node__")}

    assert types == {*SURVIVED, *DEADLY, *PARENTS, *BESIDE}
    assert len(SURVIVED) >= 12
    assert len(DEADLY) >= 9


@pytest.mark.slow
@pytest.mark.parametrize("kind", SURVIVED)
def test_the_engine_goes_on_and_ends_with_its_pipe(engine: PortClient, kind: str) -> None:
    if "memory" in kind:
        room = address_space(engine.pid) + ROOM_BYTES
        resource.prlimit(engine.pid, resource.RLIMIT_AS, (room, room))
    engine.open(one(kind), session=3, req=3)
    engine.send(["demand_async", 1, 2, "n", {}])

    answer = engine.demand(2, "n", session=3)

    assert (FINE if answer[0] == "demand_complete" else answer[3]["code"]) == SURVIVED[kind]
    if "signal-handler" in kind:
        engine.logged("interrupted the engine's loop")
    for number in range(10, 60):
        assert engine.demand(number, "n")[3] == {"value": "fine"}
    engine.send(["cancel", 1])
    assert engine.answer(1)[3]["code"] == "cancelled"
    engine.close_input()
    engine.rest()
    assert engine.wait() == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", DEADLY)
def test_the_engine_ends_and_its_pipe_with_it(engine: PortClient, kind: str) -> None:
    engine.open(one(kind), session=3, req=3)
    engine.send(["demand_async", 1, 2, "n", {}], ["demand_async", 2, 3, "n", {}])
    if "interrupts-the-engine" in kind:
        keep_busy(engine)

    engine.rest()

    last = [message for message in engine.messages if message[0] == "error"]
    assert engine.wait() in DEADLY[kind]
    assert [(message[1], message[2]["code"]) for message in last] == [(None, "internal_error")] * (kind in TOLD)
    assert all("SystemExit" in message[2]["message"] for message in last)


@pytest.mark.slow
@pytest.mark.parametrize("kind", PARENTS)
def test_a_child_that_lives_on_holds_neither_end_of_the_pipe(engine: PortClient, kind: str) -> None:
    engine.open(one(kind), session=3, req=3)
    child = engine.demand(1, "n", session=3)[3]["value"]
    try:
        engine.ping()
        os.kill(engine.pid, signal.SIGKILL)

        engine.rest()
        assert engine.wait() == -signal.SIGKILL
        with pytest.raises(BrokenPipeError):
            engine.send(["ping", 1])

        os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)


def keep_busy(engine: PortClient) -> None:
    """Have the engine handle messages until it ends."""
    with contextlib.suppress(BrokenPipeError):
        while engine.read() is not None:
            engine.send(*[["ping", 1]] * 20)


def address_space(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
