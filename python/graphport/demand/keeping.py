"""Keeping results as node types ask for it: the last few, not some, in the store or not.

Types without a policy never come here but for the store. Called by `run` and `flight`, on the loop's thread.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphport.demand.memo import Chunks, Memo, Outputs
    from graphport.demand.stored import Stored
    from graphport.graph.compile import CompiledNode

_log = logging.getLogger("graphport.evaluator")


class Keeping:
    """What is done with a result beside putting it into the cache.

    Args:
        memo: the cache.
        stored: the persistent store, or None.
    """

    def __init__(self, memo: Memo, stored: Stored | None) -> None:
        self._memo = memo
        self._stored = stored
        # Keys of the results of each type that keeps so many, in the order in which they were made.
        self._latest: dict[str, OrderedDict[bytes, None]] = {}
        self._told: set[str] = set()

    def wants(self, node: CompiledNode, inputs: dict[str, Any]) -> bool:
        """Whether the result for these inputs may be kept."""
        skip = None if node.policy is None else node.policy.skip
        if skip is None:
            return True
        try:
            return not skip(MappingProxyType(inputs))
        except BaseException as error:  # foreign code: the demand must not suffer for it
            kind = node.type.spec.type
            if kind not in self._told:
                self._told.add(kind)
                _log.warning(
                    "the cache policy of node type %r raised %s: its results are not kept",
                    kind,
                    type(error).__name__,
                    exc_info=error,
                )
            return False

    def kept(self, node: CompiledNode, key: bytes, outputs: Outputs, chunks: Chunks | None) -> None:
        """A result was put into the cache."""
        policy = node.policy
        if self._stored is not None and node.stored:
            self._stored.keep(node, key, outputs, chunks)
        if policy is None or policy.keep is None:
            return
        latest = self._latest.setdefault(node.type.spec.type, OrderedDict())
        latest[key] = None
        latest.move_to_end(key)
        while len(latest) > policy.keep:
            oldest, _ = latest.popitem(last=False)
            self._memo.discard(oldest)
            if self._stored is not None and node.stored:
                self._stored.forget(oldest)
