"""What a run needs, found in one of two ways.

`scan`: one sweep backward over the plan and one forward, where every key is known beforehand. `Needs`: driven by what
settles, where gates or values decide what is needed, or the demand gives inputs that make sources superfluous.
Must not execute anything. Called by `run`.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.node import ERROR_PORT
from graphport.demand import keys as node_keys
from graphport.graph.digest import DEAD
from graphport.graph.plan import SLICE, WIDE, slices

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from graphport.demand.memo import Memo, Outputs
    from graphport.demand.preparing import Preparing

# What a node settles as that lies behind a dead port. It has no outputs, so every edge from it is dead.
SKIPPED: Final[dict[str, Any]] = {}

_IDLE: Final = 0
_AWAITS_GATES: Final = 1
_AWAITS_ALL: Final = 2

# More than any in-degree: a node that is not needed never becomes ready.
_NEVER: Final = 1 << 60


def scan(run: Preparing, memo: Memo) -> Generator[None, None, list[int]]:
    """Take from the memo what it has, make ready what can go. Pauses now and then.

    Returns:
        Per node how many sources it awaits.
    """
    plan, results = run.plan, run.results
    needed = yield from _needed(run, memo)
    if needed is None:
        run.ready.extend(plan.leaves)
        return plan.indegrees.copy()
    pending = [_NEVER] * len(results)
    if results[-1] is not None:
        return pending
    for places in slices(len(results)):
        for place in places:
            if needed[place] and results[place] is None:
                awaited = sum([results[source] is None for source in plan.sources[place]])
                pending[place] = awaited
                if not awaited:
                    run.ready.append(place)
        yield
    return pending


def _needed(run: Preparing, memo: Memo) -> Generator[None, None, bytearray | None]:
    """Backward: what the memo has needs no sources. None if it has nothing, so that all nodes are needed."""
    keys, results, once, sources, get = run.keys, run.results, run.once, run.plan.sources, memo.get
    last = len(results) - 1
    if once is None and not memo.has_some_of(keys[last:]):
        # Where the cache has nothing, which is soon asked for many keys at once, everything is needed.
        for places in slices(last + 1):
            if memo.has_some_of(keys[places.start : places.stop]):
                break
            yield
        else:
            return None
    needed = bytearray(last + 1)
    needed[last] = 1
    found = False
    hits: list[int] = []
    for places in slices(last + 1):
        for place in range(last - places.start, last - places.stop, -1):
            if not needed[place]:
                found = True
                continue
            outputs = None if once is not None and once[place] else get(keys[place])  # type: ignore[arg-type]
            if outputs is None:
                for source in sources[place]:
                    needed[source] = 1
            else:
                results[place] = outputs
                hits.append(place)
                found = True
        yield
        if results[last] is not None:
            break
    run.count_hits(hits)
    return needed if found else None


class Needs:
    """Follows wishes down to what can run, and results up to what they make possible: a bit at a time, by `go_on`."""

    __slots__ = ("_consumers", "_memo", "_pending", "_reached", "_run", "_settled", "_stage", "_wanted", "_wide")

    def __init__(self, run: Preparing, memo: Memo) -> None:
        size = len(run.results)
        self._run = run
        self._memo = memo
        self._stage = bytearray(size)
        self._pending = [0] * size
        self._consumers: dict[int, list[int]] = {}
        self._settled: list[int] = []
        self._reached: list[int] = []  # consumers of what has settled
        self._wide: list[tuple[int, Iterator[int]]] = []  # nodes of many sources, and those not looked at yet
        self._stage[size - 1] = _AWAITS_ALL
        self._wanted = [size - 1]

    @property
    def busy(self) -> bool:
        """Whether `go_on` has something to do."""
        return bool(self._wanted or self._settled or self._reached or self._wide)

    def reached(self, place: int) -> bool:
        """Whether something needs the node."""
        return self._stage[place] != _IDLE

    def awaits_gates(self, place: int) -> bool:
        """Whether it is open as yet which sources the node needs."""
        return self._stage[place] == _AWAITS_GATES

    def settle(self, place: int) -> None:
        """The run has the result of a node."""
        self._settled.append(place)
        self.go_on()

    def identified(self, place: int) -> None:
        """The run has learnt what the key of a node lacked."""
        self._inputs_settled(place)

    def go_on(self) -> None:
        """Follow some of the wishes and results. There may be more of them then: `busy`."""
        wanted, settled, reached = self._wanted, self._settled, self._reached
        for _ in range(SLICE):
            if reached:
                consumer = reached.pop()
                self._pending[consumer] -= 1
                if not self._pending[consumer]:
                    self._inputs_settled(consumer)
            elif settled:
                reached.extend(self._consumers.pop(settled.pop(), ()))
            elif self._wide:
                self._go_on_with_wide()
                return
            elif wanted:
                self._want(wanted.pop())
            else:
                return

    def _want(self, place: int) -> None:
        run = self._run
        key = run.keys[place]
        outputs = None if key is None else self._memo.get(key)
        if outputs is not None:
            self._found(place, outputs)
            return
        gated = run.plan.gated[place]
        if gated is not None and place in run.inputs:
            still = {edge[0] for edge in run.edges[place]}
            gated = tuple(source for source in gated if source in still)
        if gated:
            self._await(place, gated, _AWAITS_GATES)
        else:
            self._await(place, self._sources(place), _AWAITS_ALL)

    def _found(self, place: int, outputs: Outputs) -> None:
        self._run.results[place] = outputs
        if outputs is not SKIPPED:
            self._run.count_hits((place,))
        self._run.tell_found((place,))
        self._settled.append(place)

    def _sources(self, place: int) -> tuple[int, ...]:
        if place in self._run.inputs:
            return tuple(dict.fromkeys(edge[0] for edge in self._run.edges[place]))
        return self._run.plan.sources[place]

    def _await(self, place: int, sources: tuple[int, ...], stage: int) -> None:
        self._stage[place] = stage
        if len(sources) > WIDE:
            self._pending[place] = 1  # so that it is not reached before the last of them is awaited
            self._wide.append((place, iter(sources)))
            return
        self._pending[place] = awaited = self._await_some(place, sources)
        if not awaited:
            self._inputs_settled(place)

    def _await_some(self, place: int, sources: Iterable[int]) -> int:
        """Await those of the sources that have not settled; returns how many."""
        awaited = 0
        for source in sources:
            if self._run.results[source] is None:
                awaited += 1
                self._consumers.setdefault(source, []).append(place)
                if self._stage[source] == _IDLE:
                    self._stage[source] = _AWAITS_ALL
                    self._wanted.append(source)
        return awaited

    def _go_on_with_wide(self) -> None:
        place, sources = self._wide[-1]
        some = list(islice(sources, SLICE))
        self._pending[place] += self._await_some(place, some)
        if not some:
            self._wide.pop()
            self._reached.append(place)

    def _inputs_settled(self, place: int) -> None:
        run = self._run
        if self._stage[place] == _AWAITS_GATES:
            if self._is_dead(place):
                self._found(place, SKIPPED)
            else:
                self._await(place, self._sources(place), _AWAITS_ALL)
            return
        if run.inputs and run.edges[place] and self._is_dead(place):
            # Inputs of the demand can leave a merge with dead edges only, which the plan does not foresee.
            self._found(place, SKIPPED)
            return
        if run.keys[place] is None:
            if run.plan.nodes[place].identity is not None and place not in run.identities:
                run.identify(place)
                return
            key = run.keys[place] = self._late_key(place)
            outputs = self._memo.get(key)
            if outputs is not None:
                self._found(place, outputs)
                run.replay_kept(place)
                return
        run.ready.append(place)

    def _late_key(self, place: int) -> bytes:
        """The key of a node all of whose sources are settled."""
        run = self._run
        parts = node_keys.head(run.plan, place, run.seeds, run.inputs)
        for source, port, _, _ in run.edges[place]:
            outputs: Outputs = run.results[source]  # type: ignore[assignment]
            key = run.keys[source]
            if key is None or port not in outputs:
                parts.append(DEAD)
            elif port == ERROR_PORT:
                # An error does not hang on the key: the same node may fail in another way next time.
                parts.append(run.plan.hasher.digest(outputs[port]) or node_keys.unique_key())
            elif run.plan.nodes[source].content_digest:
                parts.append(self._memo.digest_of(key, port, outputs) or key)
            else:
                parts.append(key)
        if place in run.identities:
            parts.append(run.identities[place])
        return node_keys.combined(run.plan, parts)

    def _is_dead(self, place: int) -> bool:
        """A dead edge into a single port skips the node, and so do dead edges everywhere."""
        alive = False
        for source, port, _, many in self._run.edges[place]:
            outputs = self._run.results[source]
            if outputs is None or port in outputs:
                alive = True
            elif not many:
                return True
        return not alive
