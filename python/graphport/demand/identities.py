"""What a result depends on beside a node's inputs, such as the size and time of a file they name.

Node types say it by a function of the inputs (`NodeType.identity`), which may look at disks and so runs on a thread,
before the node's key is known. Plans without such types never come here. Called by `preparing` for `needs`.
"""

from __future__ import annotations

import asyncio
import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from graphport.demand.inputs import collect
from graphport.demand.keys import unique_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.demand.preparing import Preparing

_log = logging.getLogger("graphport.evaluator")


def learn(run: Preparing, place: int, then: Callable[[bytes], None]) -> None:
    """Ask for a node's identity; `then` is called on the loop with its digest, later.

    One that fails, or is no plain data, is like no other: the node runs, and the result is not found again.
    """
    node, hasher = run.plan.nodes[place], run.plan.hasher
    inputs = {**node.base, **run.inputs.get(place, {})}
    inputs.update(collect(run.edges[place], run.results, inputs))
    ask: Any = node.identity

    def asked() -> bytes:
        try:
            return hasher.digest([ask(MappingProxyType(inputs))]) or unique_key()
        except BaseException as error:  # foreign code: the demand must not suffer for it
            raised = type(error).__name__
            _log.warning("the identity of node %r raised %s: its result is not found again", node.id, raised)
            return unique_key()

    def answered(done: asyncio.Future[bytes]) -> None:
        if not done.cancelled():
            then(done.result())

    asyncio.get_running_loop().run_in_executor(None, asked).add_done_callback(answered)
