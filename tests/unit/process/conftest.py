"""Lets child processes be started on the loop's thread, which they must be.

`subprocess` reads from a pipe until the child has begun to run; since the child shares our memory until then, that
read never waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_blocking_calls_on_the_loop() -> Iterator[None]:
    with blockbuster_ctx("graphport") as guard:
        guard.functions["os.read"].can_block_in("subprocess.py", "_execute_child")
        yield
