"""Sizes and copies of the values that pass between nodes. Pure. Called by `compile` and by `demand`."""

from __future__ import annotations

import copy
import itertools
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# Kinds that nobody can change, so that every consumer may have the same object.
FIXED: Final = frozenset({str, int, float, bool, type(None), bytes})
# Bytes of the kinds that are all of one size.
FLAT_BYTES: Final = {int: 32, float: 24, bool: 8, type(None): 8}
_OVERHEAD_BYTES: Final = 64
_SAMPLED: Final = 4_096
# Of deep values so many parts are measured, and the rest taken to be like them.
_MEASURED: Final = 200_000


def size_of(value: Any) -> int:
    """About how many bytes a value holds, shared parts counted once. Of long lists and maps a sample is measured."""
    kind = type(value)
    if kind is str or kind is bytes:
        return _OVERHEAD_BYTES + len(value)
    known = FLAT_BYTES.get(kind)
    if known is not None:
        return known
    return _size_of_tree(value)


def _size_of_tree(root: Any) -> int:
    total = measured = 0
    waiting: list[tuple[Any, int]] = [(root, 1)]
    seen: set[int] = set()
    while waiting:
        value, times = waiting.pop()
        measured += times
        if len(seen) >= _MEASURED:
            return total + total // measured * sum(more for _, more in waiting)
        kind = type(value)  # not its `__class__`, which a value may give as it likes
        if kind is str or kind is bytes:
            total += times * (_OVERHEAD_BYTES + len(value))
            continue
        known = FLAT_BYTES.get(kind)
        if known is not None:
            total += times * known
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        total += times * _own_size(value)
        if kind is dict:
            waiting.extend(_sample(value.keys(), times))
            waiting.extend(_sample(value.values(), times))
        elif kind in (list, tuple, set, frozenset):
            waiting.extend(_sample(value, times))
    return total


def _sample(items: Collection[Any], times: int) -> Iterator[tuple[Any, int]]:
    """Of many items every so-manieth, and how many each of them stands for."""
    step = -(-len(items) // _SAMPLED)
    return ((item, times * step) for item in itertools.islice(items, 0, None, step or 1))


def _own_size(value: Any) -> int:
    # Arrays and tensors say their size themselves; sys.getsizeof sees only their header.
    try:
        held = getattr(value, "nbytes", None)
        return sys.getsizeof(value, _OVERHEAD_BYTES) + (held if isinstance(held, int) else 0)
    except BaseException:  # a value of foreign code that does not want to be measured
        return _OVERHEAD_BYTES


def own_copy(value: Any) -> Any:
    """The value itself if nobody can change it, else a deep copy for a consumer that might."""
    if type(value) in FIXED:  # not its `__class__`, which a value may give as it likes
        return value
    try:
        return _copy_plain(value)
    except RecursionError:
        return value


def _copy_plain(value: Any) -> Any:
    kind = type(value)
    if kind in FIXED:
        return value
    if kind is list:
        return [item if type(item) in FIXED else _copy_plain(item) for item in value]
    if kind is dict:
        return {key: item if type(item) in FIXED else _copy_plain(item) for key, item in value.items()}
    if kind is tuple:
        return tuple([item if type(item) in FIXED else _copy_plain(item) for item in value])
    if kind is bytearray or kind is set:
        return copy.copy(value)
    # Anything else (arrays, models, handles) is passed as it is: copying may be dear, impossible or wrong.
    return value
