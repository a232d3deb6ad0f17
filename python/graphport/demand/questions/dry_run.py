"""A demand that is only thought of: what it would run now, found out by the very steps that a run takes.

Executes nothing, draws no seeds, and takes nothing from the cache but a look. Called by `planned` and `why`.
"""

from __future__ import annotations

import itertools
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, cast

from graphport.demand.asked import check_given, target_of
from graphport.demand.needs import SKIPPED
from graphport.demand.preparing import Preparing
from graphport.graph.plan import slices

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator, Iterable, Mapping

    from graphport.contracts.sink import Target
    from graphport.demand.evaluator import Evaluator
    from graphport.demand.memo import Memo, Outputs
    from graphport.demand.session import Session
    from graphport.graph.compile import CompiledGraph
    from graphport.graph.plan import Plan

# Numbers that no generation of a session has: keys that are derived for one of them hold for no demand.
_thought_of: Final = itertools.count(-2, -1)


class State(Enum):
    """What would become of a node that a demand may need."""

    RUN = "run"
    CACHED = "cached"
    SKIPPED = "skipped"
    DEPENDS = "depends"


class DryRun(Preparing):
    """A demand of which it is found out what it would run.

    Attributes:
        states: per node of the plan what would become of it, None if it would not be needed; after `working`.
    """

    __slots__ = ("_gone_on", "states")

    def __init__(
        self,
        evaluator: Evaluator,
        session: Session,
        node: Target,
        *,
        inputs: Mapping[str, dict[str, Any]],
        fresh: bool,
    ) -> None:
        """Think of a demand.

        Raises:
            LookupFailed: `unknown_node`.
            NodeError: `invalid_input`.
        """
        check_given(inputs, session.graph)
        super().__init__(
            evaluator,
            cast("Session", _View(session)),
            target_of(session.graph, node),
            0,
            inputs=inputs,
            stream=False,
            fresh=fresh,
            events=False,
            sink=None,
        )
        self._memo = cast("Memo", _Look(evaluator.memo))
        self._gone_on: asyncio.Future[None] | None = None
        self.states: list[State | None] = []

    def working(self) -> Generator[Any, None, None]:
        """Find out. Pauses now and then; where it waits for a store it yields a future."""
        plan = yield from self.graph.planning(self._target)
        kept = plan.keys, plan.keys_generation
        try:
            for _ in self._preparing or ():
                while self.paused:
                    self._gone_on = self._evaluator.loop.create_future()
                    yield self._gone_on
                yield
        finally:
            if self._fresh and plan.keys_generation < -1:
                # Derived for seeds that nobody drew.
                plan.keys, plan.keys_generation = kept
        needs = self._needs
        while needs is not None and needs.busy:
            needs.go_on()
            yield
        yield from (self._scanned() if needs is None else self._followed())

    def go_on(self) -> None:
        """The store has answered."""
        self.paused = False
        if self._gone_on is not None and not self._gone_on.done():
            self._gone_on.set_result(None)

    def count_hits(self, _places: Iterable[int]) -> None:
        """A look is no hit."""

    def _search_store(self) -> Generator[None, None, None]:
        stored = self._evaluator.stored
        # Where values decide what is needed they would have to be brought here to know.
        if stored is not None and not self.plan.lazy:
            cast("_Look", self._memo).stored = yield from stored.contained(self)

    def _scanned(self) -> Generator[None, None, None]:
        """States where all keys were known beforehand."""
        size, results, pending = len(self.plan.nodes), self.results, self._pending
        states: list[State | None] = [None] * size
        for places in slices(size):
            for place in places:
                if results[place] is not None:
                    states[place] = State.CACHED
                elif pending[place] <= size:
                    states[place] = State.RUN
            yield
        self.states = states

    def _followed(self) -> Generator[None, None, None]:
        """States where values decide: certain as far as the values are known."""
        plan, results, needs, ready = self.plan, self.results, self._needs, set(self.ready)
        size = len(plan.nodes)
        states: list[State | None] = [None] * size
        open_ways = bytearray(size)  # what a node needs that awaits a gate
        for places in slices(size):
            for place in range(size - 1 - places.start, size - 1 - places.stop, -1):
                outputs = results[place]
                if outputs is not None:
                    states[place] = State.SKIPPED if outputs is SKIPPED else State.CACHED
                    continue
                reached = needs is not None and needs.reached(place)
                if not reached and not (open_ways[place] and not self._is_known(place)):
                    continue
                states[place] = self._undecided(place, certain=reached, ready=place in ready)
                if not reached or needs.awaits_gates(place):  # type: ignore[union-attr]
                    for source, _, _, _ in self.edges[place]:
                        open_ways[source] = 1
            yield
        self.states = states

    def _undecided(self, place: int, *, certain: bool, ready: bool) -> State:
        if ready:
            return State.RUN
        key_known = self.keys[place] is not None or place >= self.plan.size
        # Its sources will run: it runs too, unless one of them may turn out dead, or gives what it gave before.
        return State.RUN if certain and key_known and self.plan.gated[place] is None else State.DEPENDS

    def _is_known(self, place: int) -> bool:
        key = self.keys[place]
        return key is not None and self._memo.get(key) is not None


class _InStore(dict[str, Any]):
    """Stands for a result that lies in a persistent store, with whatever ports."""

    def __contains__(self, _port: object) -> bool:
        return True


_STORED: Final = _InStore()


class _Look:
    """The cache, looked at."""

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        self.stored: set[bytes] = set()

    def get(self, key: bytes) -> Outputs | None:
        outputs = self._memo.peek(key)
        return _STORED if outputs is None and key in self.stored else outputs

    def has_some_of(self, keys: Iterable[bytes | None]) -> bool:
        return self._memo.has_some_of(keys) or not self.stored.isdisjoint(keys)

    def digest_of(self, key: bytes, port: str, outputs: Outputs) -> bytes | None:
        return self._memo.digest_of(key, port, outputs)


class _View:
    """A session whose seeds are drawn for this view alone."""

    def __init__(self, session: Session) -> None:
        self.graph: CompiledGraph = session.graph
        self.generation = session.generation
        self.answers = session.answers
        self._session = session
        self._fresh: frozenset[str] = frozenset()

    def draw_seeds(self, plan: Plan) -> None:
        self.generation = next(_thought_of)
        self._fresh = frozenset(plan.nodes[place].id for place in plan.seeded)

    def seed(self, node_id: str) -> int:
        return self._session.seed(node_id, ahead=node_id in self._fresh)
