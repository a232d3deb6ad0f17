"""Speaks the wire as the script says, well or badly; needs nothing but the standard library.

What it does with a demand is the node's id (see `demand`); how it starts is the first `--nodes` (see `start`).
Must not be taken for an example of an engine. Run by the tests as `python -m graphport port`.
"""

# ruff: noqa: C901, D103 - a script of short cases, each as plain as can be
import os
import signal
import struct
import sys
import time
import zlib

from graphport.codec import pack, unpack

frames = read = credited = written = 0
cancels, closes, opens, credits, grants = [], [], [], [], []
waiting = []  # (demand, node, list, how many) of demands that wait for a list to grow
silent = {}
counting = {}  # demand -> [node, next chunk, how many, how many may be sent]
uploads = {}  # transfer -> bytes so far
paced = iter(())  # frames that go as they are read
paused = []  # frames that are kept until a demand "resume"
PART = 262_144
deaf = set()  # sessions whose `close` is answered only when a demand of `answer_closes` says so
unanswered = []


def write(payload):
    global written
    written += len(payload)
    data = struct.pack(">I", len(payload)) + payload
    while data:
        data = data[os.write(4, data) :]


def say(*message):
    write(pack(list(message)))


def go_on_paced():
    while written - (credits[-1][1] if credits else 0) < 2_097_152:
        frame = next(paced, None)
        if frame is None:
            break
        write(frame)


def parts(transfer, packed, piece=PART):
    pieces = [packed[at : at + piece] for at in range(0, len(packed), piece)]
    return [pack(["part", transfer, n, n == len(pieces) - 1, bytes(p)]) for n, p in enumerate(pieces)]


def whole(demand, node, outputs):
    meta = {"revision": 1, "us": 1, "ran": 0, "cached": False, "skipped": False}
    return pack(["demand_complete", demand, node, outputs, meta])


def exactly(n):
    data = bytearray()
    while len(data) < n:
        more = os.read(3, n - len(data))
        if not more:
            os._exit(0)
        data += more
    return bytes(data)


def complete(demand, node, outputs):
    write(whole(demand, node, outputs))


def in_parts(demand, node, kind, rest):
    """Messages in parts, whole or broken."""
    global paced
    big = "x" * 600_000
    packed = whole(demand, node, {"data": big})
    frames = parts(demand, packed)
    if kind == "whole":
        frames = parts(demand, whole(demand, node, {"data": "x" * int(rest)}))
    elif kind == "paused":
        paused.extend(frames[1:])
        frames = frames[:1]
    elif kind == "order":
        frames = []
        for n in range(3):
            frames += parts(demand, pack(["node_stream", demand, node, "p", f"{n}" * 3_000_000]))
            frames += [pack(["node_stream", demand, node, port, f"small {n}"]) for port in "pq"]
        frames += parts(demand, packed) if rest == "big" else [whole(demand, node, {})]
    elif kind == "abandoned":
        error = {"code": "cancelled", "message": "cancelled"}
        frames = [*frames[:1], pack(["demand_error", demand, node, error])]
    elif kind == "log":
        frames = [*parts(demand, pack(["log", "error", "peer", "l" * 300_000, {}])), whole(demand, node, {})]
    elif kind == "skipped_part":
        frames = [frames[0], *frames[2:]]
    elif kind == "repeated_part":
        frames = [frames[0], frames[0]]
    elif kind == "no_first_part":
        frames = frames[1:]
    elif kind == "long_part":
        frames = parts(demand, packed, PART + 1)
    elif kind == "too_large":
        paced = (pack(["part", demand, n, False, b"\0" * PART]) for n in range(1_025))
        frames = []
        go_on_paced()
    elif kind == "too_many":
        frames = [pack(["part", d, 0, False, b"\x95"]) for d in silent]
    elif kind == "forbidden":
        frames = parts(demand, pack(["pong", 1]))
    elif kind == "nested":
        frames = parts(demand, pack(["part", demand, 0, True, packed[:1000]]))
    elif kind == "batch":
        frames = parts(demand, pack([["demand_complete", demand, node, {}, {}]]))
    elif kind == "other_demand":
        frames = parts(demand, whole(min(silent), "silent", {}))
    elif kind == "malformed":
        frames = parts(demand, pack(["demand_complete", demand, node, big]))
    elif kind == "garbage":
        frames = parts(demand, packed[:-1])
    elif kind == "faults_first":
        frames = [*parts(demand, packed[:-1]), whole(demand, node, {"after": "the fault"})]
    for frame in frames:
        write(frame)
    if kind == "whole_then_dies":
        os._exit(7)


def count(demand):
    """Sends what the window lets through of the chunks 0, 1, 2 …; after the last one, the end."""
    node, chunk, last, allowed = counting[demand]
    upto = min(last, allowed)
    if upto > chunk:
        ports = "ab" if node.startswith("ports") else "a"
        write(pack([["node_stream", demand, node, ports[i % len(ports)], str(i)] for i in range(chunk, upto)]))
    counting[demand][1] = upto
    if upto == last:
        del counting[demand]
        complete(demand, node, {"n": last})


def start(mode):
    if mode == "exits":
        sys.stderr.write("Traceback: no such luck\n")
        sys.stderr.flush()
        os._exit(3)
    if mode == "refuses":
        say("error", None, {"code": "invalid_nodes", "message": "no module named refuses"})
        os._exit(1)
    if mode == "mute":
        return  # never ready either, but ends with its pipe
    if mode == "never_ready":
        while True:
            time.sleep(60)
    pid = os.getpid() + (1 if mode == "other_pid" else 0)
    say("ready", {"protocol": 2 if mode == "protocol_2" else 1, "version": "peer", "os_pid": pid, "python": "3"})


def demand(demand, session, node, options):
    if node == "*" or isinstance(node, list):
        if "die" in node:
            os._exit(7)
        if "silent" not in node:
            say("demand_complete", demand, node, {n: {"options": options} for n in node}, {})
        return
    word, _, rest = node.partition(":")
    if word == "echo":
        complete(demand, node, {"options": options, "session": session})
    elif word == "who":
        complete(demand, node, {"os_pid": os.getpid()})
    elif word == "stream":
        batch = [["node_stream", demand, n, p, f"{n}{p}{i}"] for i in range(2) for n in "xy" for p in "ab"]
        write(pack(batch))
        complete(demand, node, {})
    elif word == "big":
        complete(demand, node, {"data": "x" * int(rest)})
    elif word in ("count", "ports"):
        counting[demand] = [node, 0, int(rest), options["window"]]
        count(demand)
    elif word == "flood":
        write(pack([["node_stream", demand, "f", p, p + str(i)] for i in range(int(rest)) for p in "ab"]))
        complete(demand, node, {})
    elif word == "events":
        kinds = [["", "planned", {"nodes": 2}], ["x", "started", {}], ["x", "never_heard_of", {"a": [1]}]]
        write(pack([["node_event", demand, n, {"event": kind, **more}] for n, kind, more in kinds]))
        complete(demand, node, {})
    elif word == "chunks_then":
        say("node_stream", demand, "x", "a", "first")
        say("demand_error", demand, node, {"code": rest, "message": "as told"})
    elif word == "parts":
        in_parts(demand, node, *f"{rest}:".split(":")[:2])
    elif word == "resume":
        while paused:
            write(paused.pop(0))
        complete(demand, node, {})
    elif word == "sizes":
        values = [(p, v) for ports in options.get("inputs", {}).values() for p, v in ports.items()]
        ports = {p: [len(v), zlib.crc32(v if isinstance(v, bytes) else v.encode())] for p, v in values}
        complete(demand, node, {"ports": ports, "deadline_ms": options.get("deadline_ms"), "uploads": len(uploads)})
    elif word in ("silent", "deaf"):
        silent[demand] = node
    elif word == "late":
        time.sleep(int(rest) / 1000)
        complete(demand, node, {})
    elif word == "twice":
        complete(demand, node, {"n": 1})
        complete(demand, node, {"n": 2})
        say("demand_error", demand, node, {"code": "cancelled", "message": "no"})
        say("node_stream", demand, node, "p", "after the end")
    elif word == "die":
        os._exit(int(rest or 7))
    elif word == "floods_unread":
        os.kill(os.getpid(), signal.SIGSTOP)
        for _ in range(int(rest)):
            say("node_stream", demand, node, "a", "x" * 200_000)
        os.kill(os.getpid(), signal.SIGSTOP)
    elif word == "hang":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif word == "garbage":
        write(b"\xc1")
    elif word == "raw":
        write(bytes.fromhex(rest))
    elif word == "degraded":
        say("degraded", {"stuck": 8, "reason": "8 nodes do not end"})
        complete(demand, node, {})
    elif word == "malformed":
        say("pong", "not a number")
    elif word == "future":
        say("weather", "sunny")
        complete(demand, node, {})
    elif word == "log":
        say("log", rest, "some.logger.nobody.knows", "a line from the engine", {"key_that_is_no_atom": 1})
        complete(demand, node, {})
    elif word == "error":
        say("demand_error", demand, node, {"code": rest, "message": "as told", "node_id": "inner", "details": {"a": 1}})
    elif word == "answer_closes":
        for request in unanswered:
            say("reply", request, None)
        complete(demand, node, {})
    elif word in ("cancels", "closes", "opens", "credits", "grants"):
        lists = {"cancels": cancels, "closes": closes, "opens": opens, "credits": credits, "grants": grants}
        waiting.append((demand, node, lists[word], int(rest)))
    else:
        say("demand_error", demand, node, {"code": "unknown_node", "message": node, "node_id": node})


def query(req, what, args):
    if args.get("type") == "nobody":
        say("error", req, {"code": "unknown_type", "message": "no node type nobody"})
    elif args.get("type") != "silent":
        say("reply", req, [{"what": what, "args": args}])


def handle(message):
    name = message[0]
    if name == "hello":
        start(sys.argv[3] if len(sys.argv) > 3 else "")
    elif name == "open" and "error" in message[3]:
        say("error", message[1], {"code": message[3]["error"], "message": "no", "details": {"faults": []}})
    elif name == "open":
        opens.append(message[2])
        if message[3].get("deaf_to_close"):
            deaf.add(message[2])
        if message[3].get("die"):
            os._exit(9)
        if not message[3].get("silent"):
            say("reply", message[1], {"revision": 1, "nodes": 0, "sinks": []})
    elif name == "close":
        closes.append(message[2])
        if message[2] in deaf:
            unanswered.append(message[1])
        else:
            say("reply", message[1], None)
    elif name == "demand_async":
        demand(*message[1:])
    elif name == "part":
        _, transfer, seq, last, data = message
        if seq == 0:
            uploads[transfer] = bytearray()
        if transfer in uploads:
            uploads[transfer] += data
            if last:
                handle(unpack(bytes(uploads.pop(transfer)))[0])
    elif name == "cancel":
        cancels.append(message[1])
        counting.pop(message[1], None)
        if uploads.pop(message[1], None) is not None:
            say("demand_error", message[1], "", {"code": "cancelled", "message": "cancelled"})
        node = silent.get(message[1], "deaf")
        if not node.startswith("deaf"):
            say("demand_error", message[1], node, {"code": "cancelled", "message": "cancelled"})
    elif name == "grant":
        grants.append(message[1:])
        if message[1] in counting:
            counting[message[1]][3] += message[2]
            count(message[1])
    elif name == "query":
        query(*message[1:])
    elif name == "credit":
        credits.append(message[1:])
        go_on_paced()
    elif name == "ping":
        say("credit", frames, read)
        say("pong", message[1])


while True:
    frame = exactly(struct.unpack(">I", exactly(4))[0])
    frames, read = frames + 1, read + len(frame)
    value, _ = unpack(frame)
    for message in value if isinstance(value[0], list) else [value]:
        handle(message)
    for entry in [w for w in waiting if len(w[2]) >= w[3]]:
        waiting.remove(entry)
        complete(entry[0], entry[1], {"ids": list(entry[2])})
    if frames % 16 == 0 or read - credited >= PART:
        credited = read
        say("credit", frames, read)
