"""`check_value` against the meaning of ports, on random values."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from graphport.contracts.node import PortSpec
from graphport.graph.port_types import KNOWN_TYPES, check_value, shown

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KINDS = st.sampled_from(sorted(KNOWN_TYPES))


@given(KINDS, VALUES, st.booleans(), st.booleans())
def test_a_verdict_is_none_or_a_short_clause(kind: str, value: Any, required: bool, multiple: bool) -> None:
    problem = check_value(PortSpec(name="p", type=kind, required=required, multiple=multiple), value)

    assert problem is None or (0 < len(problem) < 300)


@given(st.floats() | st.integers(), st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_a_range_holds_exactly_what_lies_in_it(value: float, low: float, high: float) -> None:
    port = PortSpec(name="p", type="number", min=low, max=high)

    assert (check_value(port, value) is None) == (not math.isnan(value) and low <= value <= high)


@given(KINDS, st.lists(VALUES, max_size=4))
def test_a_port_of_many_takes_a_list_exactly_if_it_takes_each(kind: str, values: list[Any]) -> None:
    one = PortSpec(name="p", type=kind)
    many = PortSpec(name="p", type=kind, multiple=True)

    assert (check_value(many, values) is None) == all(check_value(one, value) is None for value in values)


@given(VALUES)
def test_what_is_shown_is_short(value: Any) -> None:
    assert 0 < len(shown(value)) <= 120
