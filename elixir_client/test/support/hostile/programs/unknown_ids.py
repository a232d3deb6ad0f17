"""Answers, streams, replies and sends parts for what nobody asked."""

from hostile import META, complete, framed, pack, put, say, serve


def go(demand):
    """One message of each kind, and a batch of all of them."""
    messages = []
    for unknown in (0, demand + 1, 2**61, 2**62 - 1):
        messages += [
            ["node_stream", unknown, "go", "p", "x"],
            ["node_event", unknown, "go", {"event": "started"}],
            ["part", unknown, 0, False, b"\x95"],
            ["part", unknown, 7, True, b"\x95"],
            ["demand_complete", unknown, "go", {}, META],
            ["demand_error", unknown, "go", {"code": "cancelled", "message": "no"}],
            ["reply", unknown, None],
            ["error", unknown, {"code": "cancelled", "message": "no"}],
            ["host_call", 2**63 - 1 - unknown, unknown, "go", "no-such-type", {}],
            ["host_cancel", 2**63 - 1 - unknown],
            ["host_more", 2**63 - 1 - unknown, 1],
        ]
    for message in messages:
        say(*message)
    put(framed(pack([m for m in messages if m[0] != "part"])))
    complete(demand)


serve(go)
