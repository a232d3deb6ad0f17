"""Every test runs with warnings as errors and a guard that fails it if the event loop is blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def anyio_backend() -> str:
    """The evaluator's hot loop is plain asyncio, so that is what tests run on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_blocking_calls_on_the_loop() -> Iterator[None]:
    with blockbuster_ctx("graphport") as guard:
        # Starting a process reads the child's exec status, which is there at once.
        guard.functions["os.read"].can_block_in("subprocess.py", "_execute_child")
        # A store is opened before anything is demanded, and what is wrong with it is the set-up's.
        for function in guard.functions.values():
            function.can_block_in("graphport/app/cache.py", "opened")
        yield
