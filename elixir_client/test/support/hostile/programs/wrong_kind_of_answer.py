"""Answers demands as if they were requests, and requests as if they were demands."""

from hostile import META, complete, say, serve, silent


def on_query(req, _what, _args):
    """A question is no demand."""
    say("node_stream", req, "go", "p", "x")
    say("node_event", req, "go", {"event": "started"})
    say("demand_complete", req, "go", {}, META)


def go(demand):
    """A demand is no question."""
    for one in [*silent, demand]:
        say("reply", one, {"a": 1})
        complete(one)
    silent.clear()


serve(go, query=on_query)
