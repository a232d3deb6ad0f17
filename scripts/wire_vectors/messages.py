"""Vectors of frames: every message of PROTOCOL.md §3 and §4, accepted and refused.

Called by `scripts/gen_wire.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TOP = 2**63 - 1
ERROR = {"code": "node_failed", "message": "boom"}
FULL_ERROR = {
    "code": "node_failed", "message": "boom", "node_id": "n", "exception": "ValueError",
    "traceback": "Traceback …", "retry_after_ms": 5, "details": {"k": 1},
}  # fmt: skip
META = {"revision": 1, "us": 12, "ran": 0, "cached": True, "skipped": False}


def fill(table: Any, encode: Callable[[Any], bytes], bytes_type: type) -> None:
    """Adds all vectors of this file to the table."""
    to_engine_taken(table, bytes_type)
    to_engine_refused(table, bytes_type)
    edits(table)
    to_beam_taken(table, bytes_type)
    to_beam_refused(table, bytes_type)
    host_nodes(table)
    batches(table)


def to_engine_taken(table: Any, bytes_type: type) -> None:
    """Messages an engine must take."""
    hello = {"protocol": 1, "client": "test", "options": {}}
    graph = {"nodes": [{"id": "a", "type": "text-input", "data": {"text": "x"}}], "edges": []}
    rows: list[tuple[str, Any]] = [
        ("hello", ["hello", hello]),
        ("hello with a key more", ["hello", {**hello, "mood": "good"}]),
        ("hello of another protocol", ["hello", {**hello, "protocol": 2}]),
        ("open", ["open", 1, 2, graph, {}]),
        ("open of an empty map", ["open", 0, 0, {}, {}]),
        ("close", ["close", 1, 2]),
        ("demand_async", ["demand_async", 1, 2, "n", {}]),
        ("demand_async with the largest ids", ["demand_async", TOP, TOP, "n", {}]),
        ("demand_async with inputs", ["demand_async", 1, 2, "n", {"inputs": {"a": {"text": "x"}}}]),
        ("demand_async with bytes as input", ["demand_async", 1, 2, "n", {"inputs": {"a": {
            "data": bytes_type(b"\xff")}}}]),
        ("demand_async with a deadline", ["demand_async", 1, 2, "n", {"deadline_ms": 0}]),
        ("demand_async without a deadline", ["demand_async", 1, 2, "n", {"deadline_ms": None}]),
        ("demand_async with stream", ["demand_async", 1, 2, "n", {"stream": True}]),
        ("demand_async with a list to stream", ["demand_async", 1, 2, "n", {"stream": ["n", "m"]}]),
        ("demand_async, fresh", ["demand_async", 1, 2, "n", {"fresh": True}]),
        ("demand_async, provenance", ["demand_async", 1, 2, "n", {"provenance": {"user": 1}}]),
        ("demand_async with events", ["demand_async", 1, 2, "n", {"events": True}]),
        ("demand_async with a window", ["demand_async", 1, 2, "n", {"window": 1}]),
        ("demand_async without a window", ["demand_async", 1, 2, "n", {"window": None}]),
        ("demand_async that watches", ["demand_async", 1, 2, "n", {"watch": True}]),
        ("demand_async of all sinks", ["demand_async", 1, 2, "*", {}]),
        ("demand_async of two nodes", ["demand_async", 1, 2, ["n", "m"], {}]),
        ("grant", ["grant", 1, 16]),
        ("hold", ["hold", 1, True]),
        ("hold no longer", ["hold", TOP, False]),
        ("query nodes", ["query", 1, "nodes", {}]),
        ("query health", ["query", 1, "health", {}]),
        ("query of the future", ["query", 1, "weather", {"where": "here"}]),
        ("part", ["part", 1, 0, False, bytes_type(b"\x95\xac")]),
        ("part, empty and last", ["part", TOP, 1, True, bytes_type(b"")]),
        ("cancel", ["cancel", 1]),
        ("ping", ["ping", 7]),
        ("ping with a negative token", ["ping", -1]),
        ("credit", ["credit", 0, 0]),
        ("credit with the largest numbers", ["credit", TOP, TOP]),
    ]  # fmt: skip
    for name, message in rows:
        table.frame("to_engine", f"to engine: {name}", message, names=message[0])


def to_engine_refused(table: Any, bytes_type: type) -> None:
    """Messages an engine must answer with bad_message."""
    demand = ["demand_async", 1, 2, "n"]
    rows: list[tuple[str, Any]] = [
        ("an unknown name", ["frobnicate", 1]),
        ("an empty name", [""]),
        ("an empty list", []),
        ("a name that is an integer", [1, 2]),
        ("a map", {"cancel": 1}),
        ("a text", "cancel"),
        ("nil", None),
        ("hello without facts", ["hello"]),
        ("hello with text", ["hello", "there"]),
        ("hello without a protocol", ["hello", {"client": "x", "options": {}}]),
        ("hello with a protocol of text", ["hello", {"protocol": "1", "client": "x", "options": {}}]),
        ("open with a field too few", ["open", 1, 2, {}]),
        ("open with a field too many", ["open", 1, 2, {}, {}, 0]),
        ("open of a text", ["open", 1, 2, "graph", {}]),
        ("open with an unknown option", ["open", 1, 2, {}, {"colour": 1}]),
        ("open with a negative id", ["open", -1, 2, {}, {}]),
        ("open with an id over 2^63 - 1", ["open", TOP + 1, 2, {}, {}]),
        ("open with true as id", ["open", True, 2, {}, {}]),
        ("open with a float as id", ["open", 1.0, 2, {}, {}]),
        ("close without a session", ["close", 1]),
        ("close of a text", ["close", 1, "two"]),
        ("demand_async with a field too few", demand),
        ("demand_async with a field too many", [*demand, {}, {}]),
        ("demand_async of an integer node", ["demand_async", 1, 2, 3, {}]),
        ("demand_async with a list of options", [*demand, []]),
        ("demand_async with an unknown option", [*demand, {"speed": 9}]),
        ("demand_async with inputs of a list", [*demand, {"inputs": []}]),
        ("demand_async with inputs of a node that are text", [*demand, {"inputs": {"a": "x"}}]),
        ("demand_async with a deadline of text", [*demand, {"deadline_ms": "soon"}]),
        ("demand_async with a negative deadline", [*demand, {"deadline_ms": -1}]),
        ("demand_async with stream of text", [*demand, {"stream": "yes"}]),
        ("demand_async with stream of integers", [*demand, {"stream": [1]}]),
        ("demand_async with fresh of an integer", [*demand, {"fresh": 1}]),
        ("demand_async with events of text", [*demand, {"events": "all"}]),
        ("demand_async with watch of text", [*demand, {"watch": "yes"}]),
        ("demand_async with a window of nothing", [*demand, {"window": 0}]),
        ("demand_async with a window of text", [*demand, {"window": "wide"}]),
        ("demand_async of no nodes", ["demand_async", 1, 2, [], {}]),
        ("demand_async of the same node twice", ["demand_async", 1, 2, ["n", "n"], {}]),
    ]
    for name, message in rows:
        table.frame("to_engine", f"to engine, refused: {name}", message, "bad_message")
    to_engine_refused_small(table, bytes_type)


def to_engine_refused_small(table: Any, bytes_type: type) -> None:
    """The same, mostly for messages other than `open` and `demand_async`."""
    rows: list[tuple[str, Any]] = [
        ("demand_async of integers", ["demand_async", 1, 2, [1, 2], {}]),
        ("grant of nothing", ["grant", 1, 0]),
        ("grant without a number", ["grant", 1]),
        ("hold of a number", ["hold", 1, 1]),
        ("hold without its state", ["hold", 1]),
        ("query of an integer", ["query", 1, 2, {}]),
        ("query with a list of arguments", ["query", 1, "nodes", []]),
        ("part of text", ["part", 1, 0, True, "x"]),
        ("part with a negative number", ["part", 1, -1, True, bytes_type(b"x")]),
        ("part without its bytes", ["part", 1, 0, True]),
        ("part with an integer for last", ["part", 1, 0, 1, bytes_type(b"x")]),
        ("cancel without a demand", ["cancel"]),
        ("cancel of a text", ["cancel", "1"]),
        ("cancel of nil", ["cancel", None]),
        ("ping without a token", ["ping"]),
        ("ping with text", ["ping", "x"]),
        ("ping with true", ["ping", True]),
        ("credit with a field too few", ["credit", 1]),
        ("credit with a negative number", ["credit", 1, -1]),
    ]
    for name, message in rows:
        table.frame("to_engine", f"to engine, refused: {name}", message, "bad_message")


def edits(table: Any) -> None:
    """`update`, and what an `open` says of edits before; what an edit says is no matter of the wire."""
    taken: list[tuple[str, Any]] = [
        ("open with a revision", ["open", 1, 2, {}, {"revision": 7}]),
        ("update of nothing", ["update", 1, 2, []]),
        ("update of every kind", ["update", TOP, TOP, [
            {"set": "a", "data": {"text": "y", "old": None}},
            {"put": {"id": "b", "type": "text-output", "data": {}}},
            {"connect": {"source": "a", "source_handle": "text", "target": "b", "target_handle": "text"}},
            {"disconnect": {"source": "a", "source_handle": "text", "target": "b", "target_handle": "text"}},
            {"remove": "b"},
            {"settings": {"temperature": 0.5, "seed": None}}]]),
        ("update of what is no edit", ["update", 1, 2, ["a", 1, None, {"frobnicate": "a"}]]),
    ]  # fmt: skip
    for name, message in taken:
        table.frame("to_engine", f"to engine: {name}", message, names=message[0])
    refused: list[tuple[str, Any]] = [
        ("open with a revision of text", ["open", 1, 2, {}, {"revision": "two"}]),
        ("open with a revision of nothing", ["open", 1, 2, {}, {"revision": 0}]),
        ("update with a field too few", ["update", 1, 2]),
        ("update with a field too many", ["update", 1, 2, [], {}]),
        ("update with a map of edits", ["update", 1, 2, {"set": "a", "data": {}}]),
        ("update with an id over 2^63 - 1", ["update", TOP + 1, 2, []]),
        ("update of a session of text", ["update", 1, "two", []]),
    ]
    for name, message in refused:
        table.frame("to_engine", f"to engine, refused: {name}", message, "bad_message")


def to_beam_taken(table: Any, bytes_type: type) -> None:
    """Messages the BEAM must take."""
    facts = {
        "protocol": 1,
        "version": "0.1.0",
        "os_pid": 4711,
        "python": "3.11.7",
        "max_frame_bytes": 1048576,
    }
    rows: list[tuple[str, Any]] = [
        ("ready", ["ready", facts]),
        ("ready with a key more", ["ready", {**facts, "mood": "good"}]),
        ("reply", ["reply", 1, {"revision": 1, "nodes": 1, "sinks": ["a"]}]),
        ("reply of nil", ["reply", TOP, None]),
        ("error", ["error", 1, ERROR]),
        ("error that names no request", ["error", None, ERROR]),
        ("error with every field", ["error", 1, FULL_ERROR]),
        ("error with an unknown code", ["error", 1, {"code": "too_sunny", "message": "sun"}]),
        ("demand_complete", ["demand_complete", 1, "n", {"text": "x"}, META]),
        ("demand_complete with bytes", ["demand_complete", 1, "n", {"d": bytes_type(b"\x00\xff")}, META]),
        ("demand_complete, empty", ["demand_complete", 0, "", {}, {}]),
        ("demand_error", ["demand_error", 1, "n", ERROR]),
        ("node_stream", ["node_stream", 1, "n", "text", "tok"]),
        ("node_stream of a list", ["node_stream", 1, "n", "text", [1, 2]]),
        ("node_event", ["node_event", 1, "n", {"event": "completed", "us": 12}]),
        ("node_event of the future", ["node_event", 1, "n", {"event": "dreamt", "of": ["sheep"]}]),
        ("demand_complete of all sinks", ["demand_complete", 1, "*", {"n": {"text": "x"}}, META]),
        ("demand_complete of two nodes", ["demand_complete", 1, ["n", "m"], {"n": {"text": "x"}, "m": {}}, META]),
        ("demand_error of two nodes", ["demand_error", 1, ["n", "m"], ERROR]),
        ("part", ["part", 1, 0, False, bytes_type(b"\x95\xac")]),
        ("credit", ["credit", 3, 400]),
        ("log", ["log", "info", "my.module", "hello", {"line": 3}]),
        ("log, critical", ["log", "critical", "", "", {}]),
        ("pong", ["pong", 7]),
        ("node_output", ["node_output", 1, "n", {"text": "x"}, META]),
        ("node_output of two nodes", ["node_output", TOP, ["n", "m"], {"n": {}, "m": {"text": "x"}}, META]),
        ("node_output of all sinks", ["node_output", 1, "*", {}, META]),
        ("node_failed", ["node_failed", 1, "n", FULL_ERROR]),
        ("node_failed of two nodes", ["node_failed", 1, ["n", "m"], ERROR]),
        ("degraded", ["degraded", {"stuck": 8, "reason": "8 nodes do not end"}]),
        ("degraded with a key more", ["degraded", {"stuck": 8, "reason": "", "mood": "bad"}]),
        ("a name of the future", ["weather", "sunny"]),
    ]
    for name, message in rows:
        table.frame("to_beam", f"to BEAM: {name}", message, names=message[0])


def to_beam_refused(table: Any, bytes_type: type) -> None:
    """Messages that are a fault of the engine."""
    rows: list[tuple[str, Any]] = [
        ("an empty list", []),
        ("a name that is an integer", [1]),
        ("a map", {"pong": 1}),
        ("nil", None),
        ("ready without facts", ["ready"]),
        ("ready without a process id", ["ready", {"protocol": 1}]),
        ("ready with a process id of text", ["ready", {"protocol": 1, "os_pid": "1"}]),
        ("reply without a result", ["reply", 1]),
        ("reply to nil", ["reply", None, 1]),
        ("reply to an id over 2^63 - 1", ["reply", TOP + 1, 1]),
        ("error of text", ["error", 1, "boom"]),
        ("error to text", ["error", "1", ERROR]),
        ("demand_complete without meta", ["demand_complete", 1, "n", {}]),
        ("demand_complete with a list of outputs", ["demand_complete", 1, "n", [], {}]),
        ("demand_complete of an integer node", ["demand_complete", 1, 2, {}, {}]),
        ("demand_complete with a negative id", ["demand_complete", -1, "n", {}, {}]),
        ("demand_error of text", ["demand_error", 1, "n", "boom"]),
        ("demand_error with a field too many", ["demand_error", 1, "n", ERROR, {}]),
        ("node_output without meta", ["node_output", 1, "n", {}]),
        ("node_output with a list of outputs", ["node_output", 1, "n", [], {}]),
        ("node_output of an integer node", ["node_output", 1, 2, {}, {}]),
        ("node_output of a list of integers", ["node_output", 1, [1], {}, {}]),
        ("node_failed of text", ["node_failed", 1, "n", "boom"]),
        ("node_failed with a field too many", ["node_failed", 1, "n", ERROR, {}]),
        ("node_stream without a chunk", ["node_stream", 1, "n", "text"]),
        ("node_event of text", ["node_event", 1, "n", "completed"]),
        ("node_event of no node", ["node_event", 1, None, {"event": "started"}]),
        ("demand_complete of a list of integers", ["demand_complete", 1, [1], {}, {}]),
        ("part of text", ["part", 1, 0, True, "x"]),
        ("part with a negative number", ["part", 1, -1, True, bytes_type(b"x")]),
        ("part with an integer for last", ["part", 1, 0, 1, bytes_type(b"x")]),
        ("node_stream with an integer port", ["node_stream", 1, "n", 2, "tok"]),
        ("credit with text", ["credit", "1", 1]),
        ("credit with a negative number", ["credit", 1, -1]),
        ("log with an unknown level", ["log", "loud", "l", "t", {}]),
        ("log with meta of a list", ["log", "info", "l", "t", []]),
        ("pong with text", ["pong", "x"]),
        ("degraded without facts", ["degraded"]),
        ("degraded without a number", ["degraded", {"reason": "x"}]),
        ("degraded with a number of text", ["degraded", {"stuck": "8", "reason": "x"}]),
        ("degraded without a reason", ["degraded", {"stuck": 8}]),
    ]
    for name, message in rows:
        table.frame("to_beam", f"to BEAM, refused: {name}", message, "bad_message")


def host_nodes(table: Any) -> None:
    """Messages about nodes that the BEAM runs, and answers of people."""
    rows: list[tuple[str, Any]] = [
        ("decide", ["decide", 1, 2, "n", {"yes": True}]),
        ("decide of nil", ["decide", 1, 2, "n", None]),
        ("open with answers", ["open", 1, 2, {}, {"answers": {"n": "yes"}}]),
        ("demand_async that waits", ["demand_async", 1, 2, "n", {"wait": True}]),
        ("host_reply", ["host_reply", 2**62, True, {"text": "x"}]),
        ("host_reply of an error", ["host_reply", 2**62, False, ERROR]),
        ("host_reply that is no map", ["host_reply", 2**62, True, [1]]),
        ("host_stream", ["host_stream", 2**62, "text", "tok"]),
        ("host_stream of a list", ["host_stream", TOP, "text", [1, 2]]),
        ("host_progress", ["host_progress", 2**62, 0.5, "half"]),
        ("host_progress of an unknown share", ["host_progress", 2**62, None, ""]),
        ("host_progress of an integer", ["host_progress", 2**62, 1, ""]),
    ]
    for name, message in rows:
        table.frame("to_engine", f"to engine: {name}", message, names=message[0])
    rows = [
        ("host_call", ["host_call", 2**62, 1, "n", "upcase", {"text": "x"}]),
        ("host_call without inputs", ["host_call", TOP, 0, "", "upcase", {}]),
        ("host_cancel", ["host_cancel", 2**62]),
        ("host_more", ["host_more", 2**62, 16]),
    ]
    for name, message in rows:
        table.frame("to_beam", f"to BEAM: {name}", message, names=message[0])
    rows = [
        ("host_call without inputs", ["host_call", 2**62, 1, "n", "upcase"]),
        ("host_call with a list of inputs", ["host_call", 2**62, 1, "n", "upcase", []]),
        ("host_call of a number that is a demand's", ["host_call", 1, 1, "n", "upcase", {}]),
        ("host_call of no type", ["host_call", 2**62, 1, "n", None, {}]),
        ("host_cancel of nil", ["host_cancel", None]),
        ("host_cancel of a number that is a demand's", ["host_cancel", 1]),
        ("host_more of nothing", ["host_more", 2**62, 0]),
        ("host_more of text", ["host_more", 2**62, "all"]),
    ]
    for name, message in rows:
        table.frame("to_beam", f"to BEAM, refused: {name}", message, "bad_message")
    host_nodes_refused(table)


def host_nodes_refused(table: Any) -> None:
    """What an engine must not take of them."""
    rows: list[tuple[str, Any]] = [
        ("decide without an answer", ["decide", 1, 2, "n"]),
        ("decide of no node", ["decide", 1, 2, None, 1]),
        ("open with a list of answers", ["open", 1, 2, {}, {"answers": []}]),
        ("open with an answer to an integer", ["open", 1, 2, {}, {"answers": {1: "yes"}}]),
        ("demand_async with wait of text", ["demand_async", 1, 2, "n", {"wait": "yes"}]),
        ("host_reply without a value", ["host_reply", 2**62, True]),
        ("host_reply that is neither", ["host_reply", 2**62, 1, {}]),
        ("host_reply of a text", ["host_reply", "1", True, {}]),
        ("host_stream to an integer", ["host_stream", 2**62, 1, "tok"]),
        ("host_stream without a chunk", ["host_stream", 2**62, "text"]),
        ("host_progress of text", ["host_progress", 2**62, "half", ""]),
        ("host_progress of true", ["host_progress", 2**62, True, ""]),
        ("host_progress without a text", ["host_progress", 2**62, 0.5, None]),
    ]
    for name, message in rows:
        table.frame("to_engine", f"to engine, refused: {name}", message, "bad_message")


def batches(table: Any) -> None:
    """Frames of several messages."""
    table.frame("to_engine", "to engine: a batch of one", [["ping", 1]], names="ping")
    table.frame("to_engine", "to engine: a batch of three", [["cancel", 1], ["ping", 1], ["cancel", 2]],
                names="cancel ping cancel")  # fmt: skip
    table.frame("to_engine", "to engine, refused: a batch with an unknown name", [["ping", 1], ["nope"]],
                "bad_message")  # fmt: skip
    table.frame("to_engine", "to engine, refused: a batch with a text in it", [["ping", 1], "ping"],
                "bad_message")  # fmt: skip
    table.frame("to_engine", "to engine, refused: a batch of an empty list", [[]], "bad_message")
    stream = ["node_stream", 1, "n", "text", "tok"]
    table.frame("to_beam", "to BEAM: a batch of one", [["pong", 1]], names="pong")
    table.frame("to_beam", "to BEAM: a batch of a stream and its end",
                [stream, stream, ["demand_complete", 1, "n", {"text": "toktok"}, META]],
                names="node_stream node_stream demand_complete")  # fmt: skip
    table.frame("to_beam", "to BEAM, refused: a batch with a bad message", [stream, ["pong"]], "bad_message")
    table.frame("to_beam", "to BEAM, refused: a batch of an empty list", [[]], "bad_message")
    table.frame("to_beam", "to BEAM, refused: a batch with a text in it", [stream, "pong"], "bad_message")
