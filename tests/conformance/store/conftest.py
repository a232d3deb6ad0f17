"""Gives each test a store of each enrolled kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.conformance.store.enrolled import STORES, Enrolled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from graphport.contracts.cache_store import CacheStore


@pytest.fixture(params=STORES, ids=lambda one: one.file.partition(".")[0])
def enrolled(request: pytest.FixtureRequest) -> Enrolled:
    """Each kind."""
    one: Enrolled = request.param
    return one


@pytest.fixture(params=[one for one in STORES if one.durable], ids=lambda one: one.file.partition(".")[0])
def durable(request: pytest.FixtureRequest) -> Enrolled:
    """Each kind that other processes can open too."""
    one: Enrolled = request.param
    return one


@pytest.fixture
async def store(enrolled: Enrolled, tmp_path: Path) -> AsyncIterator[CacheStore]:
    """A store of each kind."""
    made = await enrolled.make(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def small(enrolled: Enrolled, tmp_path: Path) -> Callable[..., Awaitable[CacheStore]]:
    """Makes a store with bounds of the test's own."""
    return lambda **bounds: enrolled.make(tmp_path, **bounds)
