"""The guard in `conftest.py` goes red when something blocks the loop, and not when a thread sleeps."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from blockbuster import BlockingError
from tests.support.evaluation import bench, graph, make_type

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_node_that_sleeps_on_the_loop_is_found(asynchronous: bool) -> None:
    def sleep(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        time.sleep(0.001)
        return {"value": 1}

    async def sleep_async(inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        return sleep(inputs, ctx)

    async with bench(make_type("sleep", sleep_async if asynchronous else sleep)) as b:
        b.open(graph({"s": "sleep"}))

        answer = await b.demand("s")

        assert answer.error is not None
        assert answer.error.exception_name == BlockingError.__name__


async def test_a_node_that_sleeps_in_a_thread_is_fine() -> None:
    def sleep(_inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        time.sleep(0.001)
        return {"value": threading.current_thread() is not threading.main_thread()}

    async with bench(make_type("sleep", sleep, execution="thread")) as b:
        b.open(graph({"s": "sleep"}))

        assert await b.outputs("s") == {"value": True}
        await asyncio.sleep(0)
