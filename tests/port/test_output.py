"""What nodes print, log or write reaches the log and never the wire."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.port_client import PortClient


def one(kind: str, **data: Any) -> dict[str, Any]:
    return {"nodes": [{"id": "n", "type": kind, "data": data}], "edges": []}


def seen(engine: PortClient, texts: set[str]) -> dict[str, tuple[str, str]]:
    """Level and logger of each text, once all have come."""
    found: dict[str, tuple[str, str]] = {}

    def complete(_message: Any) -> bool:
        for name, *rest in engine.messages:
            if name == "log" and rest[2] in texts:
                found[rest[2]] = (rest[0], rest[1])
        return len(found) == len(texts)

    if not complete(None):
        engine.until(complete)
    return found


def test_everything_a_node_says_is_logged(engine: PortClient) -> None:
    engine.open(one("talk", text="hey"))

    answer = engine.demand(1, "n")

    assert answer[3] == {"value": "hey"}
    assert seen(
        engine, {f"hey {way}" for way in ("print", "stderr", "logging", "fd1", "fd2", "child", "child-err")}
    ) == {
        "hey print": ("info", "stdout"),
        "hey stderr": ("warning", "stderr"),
        "hey logging": ("warning", "unruly"),
        "hey fd1": ("info", "stdout"),
        "hey fd2": ("warning", "stderr"),
        "hey child": ("info", "stdout"),
        "hey child-err": ("warning", "stderr"),
    }
    engine.ping()


def test_writing_where_the_wire_was_reaches_nothing(engine: PortClient) -> None:
    engine.open(one("write-to-the-wire"))

    assert engine.demand(1, "n")[3] == {"value": "written"}
    engine.ping()


def test_what_a_forked_child_says_is_logged_and_what_it_writes_reaches_nothing(engine: PortClient) -> None:
    engine.open(one("fork"))
    child = engine.demand(1, "n")[3]["value"]
    try:
        logs = seen(engine, {"forked print", "forked fd1", "WARNING unruly: forked logging"})

        assert logs["forked print"] == ("info", "stdout")
        engine.ping()
    finally:
        os.kill(child, 9)


def test_a_node_that_closes_standard_output_hurts_itself_only(engine: PortClient) -> None:
    engine.open(one("close-output"))

    assert engine.demand(1, "n")[3] == {"value": "closed"}
    engine.ping(1)
    engine.ping(2)
