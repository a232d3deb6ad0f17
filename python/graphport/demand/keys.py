"""Keys of node executions: two executions with one key give one result.

key = hash(static digest, for each in-edge: key or content digest of what comes in, demand inputs, seed), by the way of
hashing that the engine has chosen. Keys pass from sources to consumers in one sweep over a plan; where they hang on
values (behind a gate, or behind a node that asks for content digests) they stay unknown until those values are there.
Called by `run`.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

from graphport.graph.plan import WIDE, slices

if TYPE_CHECKING:
    from collections.abc import Generator

    from graphport.graph.plan import Edge, Plan

_nonces = itertools.count(1)
_here = os.urandom(10)


def unique_key() -> bytes:
    """A key that no other execution has, here or in another process."""
    return _here + next(_nonces).to_bytes(6, "big")


def derive(
    plan: Plan,
    generation: int | None,
    seeds: dict[int, int],
    inputs: dict[int, dict[str, Any]],
    edges: list[tuple[Edge, ...]],
) -> Generator[None, None, tuple[list[bytes | None], bytearray | None]]:
    """Keys of all nodes of a plan, None where unknown as yet; and a mark for each whose result cannot recur.

    Pauses now and then.

    Args:
        plan: the plan.
        generation: of the session, for which the seeds were drawn and the plan may remember keys; None if the seeds are
            this run's alone.
        seeds: place to the seed drawn for it.
        inputs: place to the inputs the demand itself gives.
        edges: in-edges that count for this demand.
    """
    if not inputs and not plan.lazy and not plan.volatile:
        if generation is None:
            return (yield from _structural(plan, seeds)), None
        found = plan.keys
        if found is None or plan.keys_generation != generation:
            found = yield from _structural(plan, seeds)
            plan.keys, plan.keys_generation = found, generation
        return found, None
    keys: list[bytes | None] = []
    once = bytearray(len(plan.nodes)) if plan.volatile else None
    for places in slices(len(plan.nodes)):
        for place in places:
            if plan.nodes[place].cacheable:
                parts, known = head(plan, place, seeds, inputs), plan.nodes[place].identity is None
                for first in range(0, len(edges[place]), WIDE):
                    if first:
                        yield
                    known &= _add_sources(plan, place, edges[place][first : first + WIDE], keys, once, parts)
                keys.append(combined(plan, parts) if known else None)
                continue
            keys.append(unique_key())
            if once is not None:
                once[place] = 1
        yield
    return keys, once


def _add_sources(
    plan: Plan,
    place: int,
    edges: tuple[Edge, ...],
    keys: list[bytes | None],
    once: bytearray | None,
    parts: list[bytes],
) -> bool:
    """Add what comes in to the parts of a key, unless it hangs on values; notes whether it can recur.

    Returns:
        Whether all of it is known.
    """
    known = True
    for source, _, _, _ in edges:
        giver = plan.nodes[source]
        key = keys[source]
        if key is None or giver.branches or giver.content_digest:
            known = False
        else:
            parts.append(key)
        # A content digest can recur even where what it was made from cannot.
        if once is not None and once[source] and not giver.content_digest:
            once[place] = 1
    return known


def _structural(plan: Plan, seeds: dict[int, int]) -> Generator[None, None, list[bytes | None]]:
    """The sweep for plans in which every key is known from the graph alone."""
    keys: list[bytes] = []
    nodes, all_edges, hash_ = plan.nodes, plan.edges, plan.hasher.hash
    for places in slices(len(nodes)):
        for place in places:
            edges = all_edges[place]
            if place in seeds or len(edges) > WIDE:
                parts = head(plan, place, seeds, {})
                for first in range(0, len(edges), WIDE):
                    if first:
                        yield
                    parts.extend([keys[edge[0]] for edge in edges[first : first + WIDE]])
                keys.append(combined(plan, parts))
            elif len(edges) == 1:
                keys.append(hash_(nodes[place].static_digest + keys[edges[0][0]]))
            elif edges:
                keys.append(hash_(nodes[place].static_digest + b"".join([keys[edge[0]] for edge in edges])))
            else:
                keys.append(nodes[place].static_digest)
        yield
    return keys  # type: ignore[return-value]


def combined(plan: Plan, parts: list[bytes]) -> bytes:
    """The key of these parts: the same whichever way a demand came to it."""
    return parts[0] if len(parts) == 1 else plan.hasher.hash(b"".join(parts))


def head(plan: Plan, place: int, seeds: dict[int, int], inputs: dict[int, dict[str, Any]]) -> list[bytes]:
    """What a key starts with: all of it but the in-edges."""
    node = plan.nodes[place]
    parts = [node.static_digest]
    own = inputs.get(place)
    if own:
        parts.append(plan.hasher.digest(own) or unique_key())
    if place in seeds and not (own and own.get("seed") is not None):
        parts.append(seeds[place].to_bytes(4, "big"))
    return parts
