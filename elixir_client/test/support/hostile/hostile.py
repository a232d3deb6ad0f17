"""An engine of the plainest kind, out of which a hostile program makes a bad one.

A program overrides the handlers that it wants to do badly: `serve(go=...)`. A demand for the node "go" is where most of
them misbehave; "silent" ones stay open until a demand for "release", or a cancel. Standard library only.
"""

# ruff: noqa: D103 - a script of short cases
import os
import struct
import sys

from graphport.codec import pack, unpack

FOLDER = os.environ["HOSTILE_FOLDER"]
START = int(os.environ["HOSTILE_START"])
# What the test wants to say to the program: the first `--nodes`.
WORD = sys.argv[5] if len(sys.argv) > 5 else ""
READY = {"protocol": 1, "version": "hostile", "os_pid": os.getpid(), "python": "3", "max_frame_bytes": 1_048_576}
META = {"revision": 1, "us": 1, "ran": 0, "cached": False, "skipped": False}

silent = {}  # open demands -> node
counts = {"frames": 0, "bytes": 0}


def put(data):
    data = memoryview(data)
    while data:
        data = data[os.write(4, data) :]


def framed(payload):
    return struct.pack(">I", len(payload)) + payload


def packed(*message):
    return framed(pack(list(message)))


def say(*message):
    put(packed(*message))


def complete(demand, node="go", outputs=None):
    say("demand_complete", demand, node, outputs or {}, META)


def fail(demand, node="go", code="cancelled"):
    say("demand_error", demand, node, {"code": code, "message": "as told"})


def exactly(n):
    data = bytearray()
    while len(data) < n:
        more = os.read(3, n - len(data))
        if not more:
            os._exit(0)
        data += more
    return bytes(data)


def frame():
    data = exactly(struct.unpack(">I", exactly(4))[0])
    counts["frames"] += 1
    counts["bytes"] += len(data)
    return unpack(data)[0]


def on_hello(_facts):
    say("ready", READY)


def on_open(req, _session, _graph, _options):
    say("reply", req, {"revision": 1, "nodes": 0, "sinks": []})


def on_close(req, _session):
    say("reply", req, None)


def on_query(req, _what, _args):
    say("reply", req, [])


def on_cancel(demand):
    if demand in silent:
        fail(demand, silent.pop(demand))


def on_ping(token):
    say("credit", counts["frames"], counts["bytes"])
    say("pong", token)


def on_demand(demand, node):
    if node.startswith("silent"):
        silent[demand] = node
        return
    if node == "release":
        while silent:
            complete(*silent.popitem())
    complete(demand, node)


def serve(go=complete, **handlers):
    """Serves for ever; `handlers` stand in for those above of the same message."""

    def demand_async(demand, _session, node, _options):
        go(demand) if node == "go" else on_demand(demand, node)

    table = {"hello": on_hello, "open": on_open, "close": on_close, "query": on_query, "cancel": on_cancel,
             "ping": on_ping, "demand_async": demand_async, **handlers}  # fmt: skip
    while True:
        value = frame()
        for message in value if isinstance(value[0], list) else [value]:
            if message[0] in table:
                table[message[0]](*message[1:])
