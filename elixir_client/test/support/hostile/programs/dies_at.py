"""Dies at one message: before, amid or after saying one of its kind, or on hearing one.

Which one is the word that the test gives: "amid:demand_complete", "on:cancel".
"""

import os

import hostile
from hostile import WORD, complete, fail, packed, put, serve

MOMENT, _, NAME = WORD.partition(":")
# What comes by itself, like a ping, is died at only once the test has opened its demands.
state = {"armed": NAME in ("hello", "open", "ready", "reply")}


def say(*message):
    """Says it, if there is time."""
    data = packed(*message)
    if message[0] != NAME or MOMENT == "on" or not state["armed"]:
        put(data)
        return
    if MOMENT != "before":
        put(data if MOMENT == "after" else data[: len(data) // 2])
    os._exit(7)


def die(*message):
    """Heard enough."""
    if state["armed"]:
        os._exit(7)
    if NAME == "ping":
        hostile.on_ping(*message)


def go(demand):
    """One message of each kind that a demand may bring, and enough of them to be given credit for."""
    state["armed"] = True
    if MOMENT == "on" and NAME == "demand_async":
        die()
    say("node_event", demand, "go", {"event": "started"})
    say("log", "info", "dies", "a line", {})
    say("host_call", 2**62, demand, "go", "letters", {"text": "ab", "to": None})
    say("host_more", 2**62, 1)
    if NAME == "host_cancel":
        say("host_cancel", 2**62)
    if NAME == "node_output":
        say("node_output", demand, "go", {"x": 1}, {})
    if NAME == "node_failed":
        say("node_failed", demand, "go", {"code": "node_failed", "message": "no"})
    if NAME == "degraded":
        say("degraded", {"stuck": 8, "reason": "as told"})
    for _ in range(4):
        say("node_stream", demand, "go", "p", "x" * 100_000)
    say("part", demand, 0, False, b"\x95")
    if NAME == "demand_error":
        fail(demand)
    elif NAME == "demand_complete":
        complete(demand)
    hostile.silent[demand] = "go"


def query(req, _what, _args):
    """Knows nothing."""
    say("error", req, {"code": "unknown_type", "message": "no"})


hostile.say = say
heard = {NAME: die} if MOMENT == "on" and NAME != "demand_async" else {}
serve(**{"go": go, "query": query, **heard})
