"""Digests of long values: they tell apart what digests of short ones do."""

from __future__ import annotations

import copy
from typing import Any

from graphport.graph.digest import digest


def test_long_lists_and_texts_are_told_apart_like_short_ones() -> None:
    long = [0] * 100_000
    pairs: list[tuple[Any, Any]] = [
        (long, [*long[:-1], 1]),
        (long, [*long[:-1], False]),
        (long, [*long[:-1], 0.0]),
        (long, tuple(long)),
        (long, [*long[:-1], (0,)]),
        (["x" * 5_000], [b"x" * 5_000]),
        (["x" * 5_000], ["x" * 4_999 + "y"]),
        ("x" * 5_000, b"x" * 5_000),
    ]
    for first, second in pairs:
        assert digest(first) != digest(second)
        assert digest(first) == digest(copy.copy(first))
        assert digest(second) is not None
