"""Nodes that return what they should not, or change what is not theirs."""

from __future__ import annotations

from typing import Any

from graphport import node

_MINE: list[int] = []


@node
def returns_a_generator() -> Any:
    return (number for number in range(3))


@node(outputs={"value": Any, "other": Any})
def gives_its_outputs_one_by_one() -> Any:
    return (pair for pair in [("value", 1), ("other", 2)])


@node
async def returns_a_function() -> Any:
    return returns_a_function


@node(effect="volatile")
def keeps_its_list(count: int) -> list[int]:
    _MINE.append(count)
    return _MINE


@node
def keeps_its_list_and_is_cached(count: int) -> list[int]:
    _MINE.append(count)
    return _MINE


@node
def counts(items: Any) -> int:
    return len(list(items))


@node
def empties(items: list[int]) -> list[int]:
    items.clear()
    return items
