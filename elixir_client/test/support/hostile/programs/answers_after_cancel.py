"""Completes what is cancelled, and then says that it was cancelled after all."""

from hostile import complete, fail, say, serve, silent


def cancel(demand):
    """Three last messages, and a chunk."""
    if demand in silent:
        node = silent.pop(demand)
        complete(demand, node)
        fail(demand, node)
        say("node_stream", demand, node, "p", "after the end")
        complete(demand, node)


serve(cancel=cancel)
