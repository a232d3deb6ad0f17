"""How a conversation begins, and how it ends when the other side does not keep to the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.port_client import PortClient, framed

from graphport.core.version import VERSION
from graphport.wire.codec import pack

if TYPE_CHECKING:
    from pathlib import Path

GRAPH = {"nodes": [{"id": "t", "type": "text-input", "data": {"text": "hi"}}], "edges": []}


@pytest.mark.parametrize("stdio", [False, True], ids=["fds 3 and 4", "stdio"])
def test_a_greeted_engine_answers_and_ends_with_its_input(stdio: bool) -> None:
    with PortClient(stdio=stdio) as engine:
        facts = engine.hello()
        reply = engine.open(GRAPH)
        answer = engine.demand(1, "t")
        engine.close_input()

        assert (facts["protocol"], facts["version"], facts["os_pid"]) == (1, VERSION, engine.pid)
        assert facts["max_frame_bytes"] == 1_048_576
        assert reply == ["reply", 1, {"revision": 1, "nodes": 1, "sinks": ["t"]}]
        assert answer[:4] == ["demand_complete", 1, "t", {"text": "hi"}]
        assert engine.wait() == 0


@pytest.mark.parametrize(
    "first",
    [["hello", {"protocol": 99, "client": "future", "options": {}}], ["ping", 1], ["hello", {}], ["nonsense"], 5],
    ids=lambda first: str(first)[:20],
)
def test_any_other_beginning_is_refused(first: Any) -> None:
    with PortClient() as engine:
        engine.send(first, ["ping", 2])

        messages = engine.rest()

        (error,) = [message for message in messages if message[0] != "log"]
        assert error[:2] == ["error", None]
        assert error[2]["code"] == "protocol_mismatch"
        assert engine.wait() == 65


@pytest.mark.parametrize("stdio", [False, True], ids=["fds 3 and 4", "stdio"])
@pytest.mark.parametrize(
    "garbage",
    [
        framed(b"\xc1"),
        framed(b"\x91"),
        framed(b""),
        framed(b"\x90\x90"),
        (1_048_577).to_bytes(4, "big"),
        b"GET / HTTP",
        framed(b"\x92\xa4ping\xa1\xff"),
        framed(b"\x92\xa4ping\x81\x90\x01"),
        framed(b"\x92\xa4ping\xd4\x63\x00"),
        framed(b"\x92\xa4ping" + b"\x91" * 20_000 + b"\x01"),
        framed(b"\x92\xa4ping\xdd\xff\xff\xff\xff"),
        framed(b"\x92\xa4ping\xc6\xff\xff\xff\xff"),
    ],
    ids=[
        "no type",
        "cut",
        "empty",
        "two",
        "too long",
        "another protocol",
        "no UTF-8",
        "a list as key",
        "unknown extension",
        "too deep",
        "4 billion items",
        "4 billion bytes",
    ],
)
def test_a_frame_that_cannot_be_read_ends_the_conversation(garbage: bytes, stdio: bool) -> None:
    with PortClient(stdio=stdio) as engine:
        engine.hello()
        engine.send_raw(garbage)

        errors = [message for message in engine.rest() if message[0] != "log"]

        assert [(message[0], message[1], message[2]["code"]) for message in errors] == [("error", None, "bad_frame")]
        assert engine.wait() == 65


def test_what_came_before_a_bad_frame_in_the_same_write_is_not_answered_twice() -> None:
    with PortClient() as engine:
        engine.hello()
        engine.send_raw(framed(pack(["ping", 1])) + framed(b"\xc1") + framed(b"\xc1") + framed(pack(["ping", 2])))

        names = [message[0] for message in engine.rest() if message[0] != "log"]

        assert names == ["credit", "pong", "error"]
        assert engine.wait() == 65


@pytest.mark.parametrize(
    "source",
    ["import nothing_of_this_name", "x = 1", "raise SystemExit(0)", "1 / 0", "def ("],
    ids=lambda text: text[:12],
)
def test_nodes_that_cannot_be_loaded_are_told_to_the_client(tmp_path: Path, source: str) -> None:
    (tmp_path / "broken_nodes.py").write_text(source)
    with PortClient("--nodes", "broken_nodes", folder=tmp_path) as engine:
        engine.send(["hello", {"protocol": 1}])

        error = engine.next("error")

        assert error[1] is None
        assert error[2]["code"] == "invalid_nodes"
        assert "'broken_nodes'" in error[2]["message"]
        assert engine.wait() == 66


def test_a_module_that_does_not_exist_is_told_to_the_client() -> None:
    with PortClient("--nodes", "no_such_module") as engine:
        engine.send(["hello", {"protocol": 1}])

        assert engine.next("error")[2]["code"] == "invalid_nodes"
        assert engine.wait() == 66


def test_nodes_that_print_while_they_are_imported_do_not_disturb_the_wire(tmp_path: Path) -> None:
    (tmp_path / "loud_nodes.py").write_text(
        "import os\nprint('loud import')\nos.write(1, b'loud fd\\n')\nfor fd in (3, 4):\n    os.write(fd, b'junk')\n"
        "from graphport import node\n@node\ndef a() -> int:\n    return 1\n"
    )
    with PortClient("--nodes", "loud_nodes", folder=tmp_path) as engine:
        engine.hello()
        engine.open({"nodes": [{"id": "a", "type": "a", "data": {}}], "edges": []})

        assert engine.demand(1, "a")[3] == {"value": 1}
        logs = [message[3] for message in engine.messages if message[0] == "log"]
        for text in ("loud import", "loud fd"):
            assert text in logs or engine.logged(text)


def test_started_by_hand_it_says_what_it_is() -> None:
    import subprocess
    import sys

    from tests.support.port_client import PACKAGE_ROOT

    done = subprocess.run(
        [sys.executable, "-m", "graphport", "port"],
        env={"PYTHONPATH": str(PACKAGE_ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 64
    assert "file descriptors 3 and 4" in done.stderr
