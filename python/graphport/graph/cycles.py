"""Finds circles in a directed graph of integers. Iterative: depth is no limit, and time is linear.

Must not know nodes or faults. Called by `validate`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def find_cycles(successors: Sequence[Sequence[int]]) -> list[list[int]]:
    """One circle for each set of vertices that all reach each other, as the vertices on it in order.

    The circle named is a shortest one through the smallest vertex of the set.
    """
    left = _on_or_between_cycles(successors)
    if not left:
        return []
    cycles = []
    for component in _components(successors, left):
        first = min(component)
        if len(component) > 1 or first in successors[first]:
            cycles.append(_shortest_cycle(successors, set(component), first))
    return sorted(cycles)


def _on_or_between_cycles(successors: Sequence[Sequence[int]]) -> list[int]:
    """Take away, again and again, what nothing leads to. Only circles and what follows them stay."""
    waiting = [0] * len(successors)
    for targets in successors:
        for target in targets:
            waiting[target] += 1
    free = [vertex for vertex, count in enumerate(waiting) if count == 0]
    while free:
        for target in successors[free.pop()]:
            waiting[target] -= 1
            if waiting[target] == 0:
                free.append(target)
    return [vertex for vertex, count in enumerate(waiting) if count]


def _components(successors: Sequence[Sequence[int]], roots: Sequence[int]) -> list[list[int]]:
    """Tarjan's strongly connected components of what the roots reach, with its own stack of iterators."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    open_stack: list[int] = []
    is_open: set[int] = set()
    components: list[list[int]] = []
    for root in roots:
        if root in order:
            continue
        order[root] = low[root] = len(order)
        open_stack.append(root)
        is_open.add(root)
        walk = [(root, iter(successors[root]))]
        while walk:
            vertex, rest = walk[-1]
            for target in rest:
                if target not in order:
                    order[target] = low[target] = len(order)
                    open_stack.append(target)
                    is_open.add(target)
                    walk.append((target, iter(successors[target])))
                    break
                if target in is_open:
                    low[vertex] = min(low[vertex], order[target])
            else:
                walk.pop()
                if walk:
                    parent = walk[-1][0]
                    low[parent] = min(low[parent], low[vertex])
                if low[vertex] == order[vertex]:
                    components.append(_pop_through(vertex, open_stack))
                    is_open.difference_update(components[-1])
    return components


def _pop_through(vertex: int, stack: list[int]) -> list[int]:
    popped = [stack.pop()]
    while popped[-1] != vertex:
        popped.append(stack.pop())
    return popped


def _shortest_cycle(successors: Sequence[Sequence[int]], inside: set[int], first: int) -> list[int]:
    came_from: dict[int, int] = {}
    reached = deque([first])
    while reached:
        vertex = reached.popleft()
        for target in successors[vertex]:
            if target == first:
                path = [vertex]
                while path[-1] != first:
                    path.append(came_from[path[-1]])
                return path[::-1]
            if target in inside and target not in came_from:
                came_from[target] = vertex
                reached.append(target)
    raise AssertionError("a component of several vertices has a circle through each of them")
