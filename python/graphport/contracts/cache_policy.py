"""What the author of a node type says about keeping its results. Given to `@node`, applied by `demand.keeping`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """How results of a `pure` or `seeded` node type are kept.

        @node(cache=CachePolicy(keep=10, skip=lambda inputs: not inputs["url"].startswith("https://")))

    Attributes:
        keep: of all results of the type, an engine keeps the so many made last; None is as many as there is room for.
        skip: called with a node's inputs before it runs; a result for which it is true is not kept, nor looked for.
            Runs on the event loop's thread: no I/O, less than a millisecond. What it raises is logged once, and the
            result is not kept.
        store: whether results go to the persistent store, where there is one. None: those of `async` and `thread`
            nodes do, those of `inline` nodes, which are sooner made than found, do not.

    Raises:
        TypeError: something is of a wrong type.
    """

    keep: int | None = None
    skip: Callable[[Mapping[str, Any]], bool] | None = None
    store: bool | None = None

    def __post_init__(self) -> None:
        if self.keep is not None and (type(self.keep) is not int or self.keep < 1):
            raise TypeError(f"CachePolicy: keep should be a number of results from 1, or None, got {self.keep!r}.")
        if self.skip is not None and not callable(self.skip):
            raise TypeError(f"CachePolicy: skip should be a function of a node's inputs, or None, got {self.skip!r}.")
        if self.store is not None and type(self.store) is not bool:
            raise TypeError(f"CachePolicy: store should be True, False or None, got {self.store!r}.")
