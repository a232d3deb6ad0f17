"""Faults on the wire, and what a graph gives a port that has no edge."""

from __future__ import annotations

from typing import Any

import pytest

from graphport.contracts.node import PortSpec
from graphport.graph.model import Fault, invalid_graph, static_input

REQUIRED = PortSpec(name="p", required=True, setting="s")
OPTIONAL = PortSpec(name="p", setting="s")
DEFAULT = PortSpec(name="p", setting="s", default=3)
REQUIRED_DEFAULT = PortSpec(name="p", required=True, default=3)
PLAIN = PortSpec(name="p", required=True)


@pytest.mark.parametrize(
    ("port", "data", "settings", "given"),
    [
        (DEFAULT, {"p": 1}, {"s": 2}, (True, 1)),
        (DEFAULT, {"p": 0}, {"s": 2}, (True, 0)),
        (DEFAULT, {"p": None}, {"s": 2}, (True, 2)),
        (DEFAULT, {"p": None}, {"s": None}, (True, 3)),
        (DEFAULT, {}, {"p": 9}, (True, 3)),
        (REQUIRED_DEFAULT, {}, {}, (True, 3)),
        (OPTIONAL, {}, {}, (True, None)),
        (REQUIRED, {}, {"s": False}, (True, False)),
        (REQUIRED, {}, {}, (False, None)),
        (REQUIRED, {"p": None}, {"s": None}, (False, None)),
        (PLAIN, {"s": 1}, {"s": 2}, (False, None)),
    ],
)
def test_data_outranks_setting_and_setting_default(
    port: PortSpec, data: dict[str, Any], settings: dict[str, Any], given: tuple[bool, Any]
) -> None:
    assert static_input(port, data, settings) == given


def test_a_fault_travels_without_nulls() -> None:
    assert Fault("cycle", "m").to_wire() == {"code": "cycle", "message": "m"}
    assert Fault("cycle", "m", "n", "p").to_wire() == {"code": "cycle", "message": "m", "node": "n", "port": "p"}


def test_one_error_carries_all_faults() -> None:
    error = invalid_graph([Fault("cycle", "One."), Fault("cycle", "Two.", "n")])

    assert (error.code, error.message) == ("invalid_graph", "The graph has 2 faults. The first: One.")
    assert error.details == {
        "faults": [{"code": "cycle", "message": "One."}, {"code": "cycle", "message": "Two.", "node": "n"}]
    }
