"""Sizes of values: of many things a sample is measured, which comes near to measuring all."""

from __future__ import annotations

import pytest

from graphport.graph import values


@pytest.mark.parametrize("count", [0, 10, 4_096, 4_097, 30_000])
def test_a_sample_tells_nearly_the_size_of_all(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    rows = [["x" * (place % 100), {"y": "z" * 1_000, "n": place}] for place in range(count)]
    many = (rows, tuple(rows), {str(place): row for place, row in enumerate(rows)}, set(range(count)))

    sampled = [values.size_of(each) for each in many]
    monkeypatch.setattr(values, "_SAMPLED", 1_000_000)

    assert sampled == pytest.approx([values.size_of(each) for each in many], rel=0.1)
