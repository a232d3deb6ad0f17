"""Random graphs, random demands and everything that can happen meanwhile, against the naive reference evaluator.

What must hold after each move is said in `tests/support/random_evaluation.py`; what is right, in
`tests/support/reference_evaluator.py`.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.support.random_evaluation import Driven
from tests.support.random_graphs import demands, edited, graphs
from tests.support.random_nodes import Stop

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.support.random_nodes import NodeCall

_SESSIONS_MOST = 3


class Evaluation(RuleBasedStateMachine):
    """An evaluator to which everything happens in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._fresh = 100
        self._sessions = 0
        self._sound = True

    def _do(self, move: Coroutine[Any, Any, Any]) -> None:
        self._sound = False
        self._loop.run_until_complete(move)
        self._sound = True

    def _unfinished(self, data: st.DataObject) -> NodeCall:
        # Threads come in any order.
        return data.draw(st.sampled_from(sorted(self.driven.floor.unfinished, key=lambda one: repr(one.identity))))

    @initialize(data=st.data(), kept=st.sampled_from([None, None, None, 0, 1, 3]))
    def begin(self, data: st.DataObject, kept: int | None) -> None:
        async def make() -> None:
            self.driven = Driven(kept)

        self._do(make())
        self._load(data.draw(graphs()))

    def _load(self, graph: Any) -> None:
        self._sessions += 1
        self._do(self.driven.load(self._sessions, graph))

    def _session(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.driven.graphs)))

    @rule(data=st.data(), count=st.integers(1, 3), stream=st.booleans())
    def demand(self, data: st.DataObject, count: int, stream: bool) -> None:
        session = self._session(data)
        rows = [data.draw(demands(self.driven.graphs[session])) for _ in range(count)]
        self._do(self.driven.demand(session, *rows, stream=stream))

    @rule(data=st.data(), deadline_ms=st.sampled_from([None, 0, 3_600_000]))
    def demand_fresh(self, data: st.DataObject, deadline_ms: int | None) -> None:
        session = self._session(data)
        row = data.draw(demands(self.driven.graphs[session]))
        self._do(self.driven.demand(session, row, fresh=True, deadline_ms=deadline_ms))

    @precondition(lambda self: self.driven.open)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self._do(self.driven.cancel(data.draw(st.sampled_from(self.driven.open))))

    @precondition(lambda self: self.driven.floor.unfinished)
    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        self._do(self.driven.go_on(self._unfinished(data)))

    @precondition(lambda self: self.driven.floor.unfinished)
    @rule(data=st.data(), failure=st.sampled_from([Stop, asyncio.CancelledError, GeneratorExit]))
    def fail(self, data: st.DataObject, failure: type[BaseException]) -> None:
        self._do(self.driven.go_on(self._unfinished(data), failure("told to")))

    @rule()
    def finish(self) -> None:
        self._do(self.driven.finish())

    @rule()
    def forget(self) -> None:
        self._do(self.driven.forget())

    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        self._fresh += 10
        session = self._session(data)
        self._do(self.driven.edit(session, data.draw(edited(self.driven.graphs[session], self._fresh))))

    @precondition(lambda self: len(self.driven.graphs) < _SESSIONS_MOST)
    @rule(data=st.data())
    def open_edited(self, data: st.DataObject) -> None:
        self._fresh += 10
        self._load(data.draw(edited(self.driven.graphs[self._session(data)], self._fresh)))

    @precondition(lambda self: len(self.driven.graphs) > 1)
    @rule(data=st.data())
    def close_session(self, data: st.DataObject) -> None:
        self._do(self.driven.close_session(self._session(data)))

    def teardown(self) -> None:
        if self._sound:
            self._do(self.driven.close())
        else:
            for execution in self.driven.floor.unfinished:
                execution.go_on()
        self._loop.close()


def _run(examples: int, seed: int | None = None) -> None:
    machine = Evaluation if seed is None else hypothesis.seed(seed)(Evaluation)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_whatever_happens_answers_and_executions_are_those_of_the_reference() -> None:
    _run(60)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_whatever_happens_in_many_ways_it_is_right() -> None:
    seed = random.SystemRandom().getrandbits(32)
    print("seed", seed)  # noqa: T201 - shown if it fails
    _run(200, seed)
