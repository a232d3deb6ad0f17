"""Every store against a plain map that remembers the order of use: only the oldest may be missing."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.conformance.store.enrolled import STORES, Enrolled

from graphport.contracts.cache_store import StoredResult

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from graphport.contracts.cache_store import CacheStore

MAX_BYTES = 3_000
MAX_ENTRIES = 8

keys = st.integers(0, 15).map(lambda number: bytes([number]) * 16)
values = st.one_of(st.integers(), st.text(max_size=20), st.binary(max_size=600), st.lists(st.floats(allow_nan=False)))


class StoreAndModel(RuleBasedStateMachine):
    """Does the same to both."""

    kind: Enrolled

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._folder = tempfile.TemporaryDirectory()
        # Key to value, in the order of last use; and all that was forgotten since it was last put.
        self._model: dict[bytes, Any] = {}
        self._store: CacheStore

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(coroutine)

    @initialize()
    def opened(self) -> None:
        self._store = self.run(
            self.kind.make(Path(self._folder.name), max_bytes=MAX_BYTES, max_entries=MAX_ENTRIES),
        )

    @rule(results=st.dictionaries(keys, values, max_size=4))
    def put(self, results: dict[bytes, Any]) -> None:
        stored = {key: StoredResult(outputs={"v": value}) for key, value in results.items()}
        assert self.run(self._store.put_many(stored)) == len(results)
        for key, value in results.items():
            self._model.pop(key, None)
            self._model[key] = value
        self._forget()

    @rule(wanted=st.lists(keys, unique=True, max_size=4))
    def get(self, wanted: list[bytes]) -> None:
        found = self.run(self._store.get_many(wanted))
        assert {key: result.outputs["v"] for key, result in found.items()} == {
            key: self._model[key] for key in wanted if key in self._model
        }
        for key in wanted:
            if key in self._model:
                self._model[key] = self._model.pop(key)

    @rule(unwanted=st.lists(keys, unique=True, max_size=4))
    def delete(self, unwanted: list[bytes]) -> None:
        assert self.run(self._store.delete_many(unwanted)) == len(self._model.keys() & set(unwanted))
        for key in unwanted:
            self._model.pop(key, None)

    @rule()
    def clear(self) -> None:
        self.run(self._store.clear())
        self._model.clear()

    @rule()
    def reopened(self) -> None:
        if self.kind.durable:
            self.run(self._store.close())
            self.opened()

    def _forget(self) -> None:
        """Nothing but the oldest may be missing."""
        there = self.run(self._store.contains_many(list(self._model)))
        in_order = [key in there for key in self._model]
        assert in_order == sorted(in_order)
        self._model = {key: value for key, value in self._model.items() if key in there}

    @invariant()
    def bounds_hold(self) -> None:
        if hasattr(self, "_store"):
            stats = self.run(self._store.stats())
            assert stats.entries == len(self._model) <= MAX_ENTRIES
            assert stats.size_bytes <= MAX_BYTES

    def teardown(self) -> None:
        self.run(self._store.close())
        self._loop.close()
        self._folder.cleanup()


@pytest.mark.parametrize("kind", STORES, ids=lambda one: one.file.partition(".")[0])
def test_a_store_is_a_map_that_forgets_the_oldest(kind: Enrolled) -> None:
    machine = type("Machine", (StoreAndModel,), {"kind": kind})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
