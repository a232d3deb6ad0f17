"""What a host declares becomes node types, or is refused."""

from __future__ import annotations

from typing import Any, Final

import pytest
from tests.support.evaluation import bench, graph

from graphport.core.errors import LookupFailed
from graphport.demand.host import host_types

UPCASE: Final = {"type": "upcase", "inputs": [{"name": "text"}], "outputs": [{"name": "text"}], "code": "1"}


def test_a_declaration_becomes_a_type_that_the_host_runs() -> None:
    (upcase,) = host_types([{**UPCASE, "effect": "volatile", "timeout_ms": 5}])
    assert (upcase.spec.execution, upcase.spec.effect, upcase.spec.timeout_ms) == ("host", "volatile", 5)
    assert upcase.spec.input("text") is not None


def test_the_code_is_part_of_what_results_are_kept_under() -> None:
    (one,) = host_types([UPCASE])
    (other,) = host_types([{**UPCASE, "code": "2"}])
    assert one.code_digest != other.code_digest


@pytest.mark.parametrize(
    "declared",
    [
        {"upcase": {}},
        ["upcase"],
        [{}],
        [{"type": ""}],
        [{**UPCASE, "effect": "magic"}],
        [{**UPCASE, "colour": "red"}],
        [{**UPCASE, "inputs": [{"name": "a"}, {"name": "a"}]}],
        [{**UPCASE, "outputs": [{"name": "a"}, {"name": "a"}]}],
        [{**UPCASE, "timeout_ms": 0}],
        [UPCASE, UPCASE],
        [{**UPCASE, "code": 7}],
    ],
)
def test_what_is_not_as_described_is_invalid_nodes(declared: Any) -> None:
    with pytest.raises(LookupFailed) as caught:
        host_types(declared)
    assert caught.value.code == "invalid_nodes"


@pytest.mark.anyio
async def test_without_a_host_such_a_node_fails() -> None:
    async with bench(*host_types([UPCASE])) as at:
        at.open(graph({"n": ("upcase", {"text": "hi"})}))
        assert await at.fails("n") == "internal_error"
