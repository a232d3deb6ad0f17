"""Answers each demand four times, and goes on streaming afterwards."""

from hostile import META, complete, fail, framed, pack, put, say, serve, silent


def go(demand):
    """Once in frames of their own, once more in a batch."""
    for _ in range(2):
        for one, node in [*silent.items(), (demand, "go")]:
            complete(one, node)
            fail(one, node)
            say("node_stream", one, node, "p", "after the end")
            say("node_event", one, node, {"event": "completed", "us": 1})
    batch = [["demand_complete", one, node, {}, META] for one, node in [*silent.items(), (demand, "go")]]
    put(framed(pack(batch)))
    silent.clear()


serve(go)
