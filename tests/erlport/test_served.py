"""`serve`: the whole protocol over ErlPort's messages, as `transport: :erlport` uses it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.erlport_client import OK, OWNER, OWNER_TERM, CallFailed, ErlPortClient

from graphport.wire.codec import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

NODES = Path(__file__).parents[1] / "port"


class Served:
    """Frames to and from a served process."""

    def __init__(self, erlport: ErlPortClient) -> None:
        self.erlport = erlport
        self._waiting: list[list[Any]] = []
        assert erlport.call("serve", OWNER_TERM, OWNER_TERM, [b"unruly_nodes"]) == OK

    def send(self, *message: Any) -> None:
        self.erlport.cast(pack(list(message)))

    def next(self, name: str) -> list[Any]:
        """The next message of that name; others are passed over."""
        while True:
            while self._waiting:
                message = self._waiting.pop(0)
                if message[0] == name:
                    return message
            pid, (tag, (word, frame)) = self.erlport.receive()
            assert (pid, tag, word) == (OWNER, OWNER, b"data")
            value = unpack(frame)
            self._waiting = value if isinstance(value[0], list) else [value]

    def open(self, kind: str, **data: Any) -> None:
        self.send("hello", {"protocol": 1, "client": "test", "options": {}})
        assert self.next("ready")[1]["os_pid"] == self.erlport.process.pid
        graph = {"nodes": [{"id": "n", "type": kind, "data": data}], "edges": []}
        self.send("open", 1, 1, graph, {})
        assert self.next("reply")[1] == 1


@pytest.fixture
def served() -> Iterator[Served]:
    with ErlPortClient(folders=[NODES], stdio=False) as erlport:
        yield Served(erlport)


def test_demands_and_pings_are_answered(served: Served) -> None:
    served.open("shout", text="hey")
    served.send("demand_async", 5, 1, "n", {})
    assert served.next("demand_complete")[1:4] == [5, "n", {"value": "HEY"}]
    served.send("ping", 9)
    assert served.next("pong") == ["pong", 9]


def test_what_is_no_frame_is_ignored(served: Served) -> None:
    served.erlport.cast((OWNER, [1, 2]))
    served.open("shout", text="hey")
    served.erlport.cast([1, 2, 3])
    served.send("ping", 1)
    assert served.next("pong") == ["pong", 1]


def test_everything_a_node_says_is_logged(served: Served) -> None:
    served.open("talk", text="hey")
    served.send("demand_async", 1, 1, "n", {})
    wanted = {f"hey {way}" for way in ("print", "stderr", "logging", "fd1", "fd2", "child", "child-err")}
    while wanted:
        wanted -= {served.next("log")[3]}
    assert served.erlport.printed == ""


def test_a_client_of_another_protocol_is_told_and_the_process_ends(served: Served) -> None:
    served.send("hello", {"protocol": 99, "client": "test", "options": {}})
    assert served.next("error")[2]["code"] == "protocol_mismatch"
    assert served.erlport.process.wait(30) == 65


def test_a_frame_that_is_no_messagepack_ends_the_process(served: Served) -> None:
    served.open("shout", text="hey")
    served.erlport.cast(b"\xc1")
    assert served.next("error")[2]["code"] == "bad_frame"
    assert served.erlport.process.wait(30) == 65


def test_the_process_ends_with_its_port_although_a_node_holds_the_loop(served: Served) -> None:
    served.open("spin")
    served.send("demand_async", 1, 1, "n", {})

    served.erlport.hang_up()

    assert served.erlport.process.wait(30) == 0


def test_a_served_process_is_not_used_otherwise(served: Served) -> None:
    with pytest.raises(CallFailed, match="in use already"):
        served.erlport.ask("open", {"session": 1, "graph": {"nodes": [], "edges": []}})
