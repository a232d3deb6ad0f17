"""Port types: which fits which, which values fit, and what a type hint means."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NewType, Optional, TypedDict, Union

import pytest

from graphport.contracts.node import PortSpec
from graphport.graph.port_types import KNOWN_TYPES, SHAPES, check_value, fits, shown, type_of

FITTING = {
    ("string", "prompt"),
    ("masked_prompt", "prompt"),
    ("prompt", "string"),
    ("json", "string"),
    ("number", "string"),
    ("integer", "string"),
    ("boolean", "string"),
    ("integer", "number"),
    ("string", "json"),
    ("number", "json"),
    ("integer", "json"),
    ("boolean", "json"),
    ("list", "json"),
    ("map", "json"),
    ("error", "json"),
    ("error", "map"),
    ("stream", "audio_stream"),
    ("audio_stream", "stream"),
}


def test_exactly_these_types_fit_each_other() -> None:
    found = {
        (source, target)
        for source in KNOWN_TYPES
        for target in KNOWN_TYPES
        if source != target and "any" not in (source, target) and fits(source, target)
    }

    assert found == FITTING


@pytest.mark.parametrize("kind", [*sorted(KNOWN_TYPES), "a word of one's own"])
def test_any_fits_all_and_each_fits_itself(kind: str) -> None:
    assert fits("any", kind)
    assert fits(kind, "any")
    assert fits(kind, kind)


def test_every_known_type_is_described() -> None:
    assert SHAPES.keys() == KNOWN_TYPES
    assert list(SHAPES) == sorted(SHAPES)
    assert all(shape.endswith(".") for shape in SHAPES.values())


VALUES: dict[str, Any] = {
    "string": "x",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "list": [1],
    "map": {"a": 1},
    "bytes": b"x",
}
TAKES = {
    "any": set(VALUES),
    "string": {"string"},
    "prompt": {"string", "map"},
    "number": {"integer", "number"},
    "integer": {"integer"},
    "boolean": {"boolean"},
    "json": {"string", "integer", "number", "boolean", "list", "map"},
    "list": {"list"},
    "map": {"map"},
    "bytes": {"bytes"},
    "vector": {"list"},
    "image": set(VALUES),
    "a word of one's own": set(VALUES),
}


@pytest.mark.parametrize("kind", TAKES)
def test_a_port_takes_values_of_its_type_only(kind: str) -> None:
    port = PortSpec(name="p", type=kind)

    assert {name for name, value in VALUES.items() if check_value(port, value) is None} == TAKES[kind]


@pytest.mark.parametrize("kind", TAKES)
def test_null_fits_where_nothing_is_required(kind: str) -> None:
    assert check_value(PortSpec(name="p", type=kind), None) is None
    problem = check_value(PortSpec(name="p", type=kind, required=True), None)
    assert (problem is None) == (kind in ("any", "json"))


class Colour(str, enum.Enum):  # noqa: UP042 - StrEnum is another class, and both spellings occur
    RED = "red"


def test_subclasses_of_plain_data_count_as_it() -> None:
    assert check_value(PortSpec(name="p", type="string"), Colour.RED) is None


OTHER_ITEMS = "expected a list of numbers, got a list with other items"
NO_LIST = "expected a list, because the port takes many values"


@pytest.mark.parametrize(
    ("port", "value", "problem"),
    [
        (PortSpec(name="p", type="vector"), [1, "x"], OTHER_ITEMS),
        (PortSpec(name="p", type="vector"), [1, True], OTHER_ITEMS),
        (PortSpec(name="p", type="number", min=0), math.nan, "expected at least 0, got nan"),
        (PortSpec(name="p", type="number", max=1), math.inf, "expected at most 1, got inf"),
        (PortSpec(name="p", type="any", min=0), "x", "expected a number, got 'x'"),
        (PortSpec(name="p", type="integer"), 2.0, "expected an integer, got 2.0"),
        (PortSpec(name="p", choices=(1, "a")), True, "expected one of 1, 'a', got true"),
        (PortSpec(name="p", multiple=True), "x", f"{NO_LIST}, got 'x'"),
        (PortSpec(name="p", multiple=True, required=True), None, f"{NO_LIST}, got null"),
        (PortSpec(name="p", type="string", required=True), None, "expected a string, got null"),
        (PortSpec(name="p", type="image", required=True), None, "expected a value of type image, got null"),
    ],
)
def test_a_problem_is_a_clause(port: PortSpec, value: Any, problem: str) -> None:
    assert check_value(port, value) == problem


@pytest.mark.parametrize(
    ("port", "value"),
    [
        (PortSpec(name="p", type="number", min=0, max=2), 0),
        (PortSpec(name="p", type="number", min=0, max=2), 2.0),
        (PortSpec(name="p", type="number"), math.nan),
        (PortSpec(name="p", type="integer"), 10**40),
        (PortSpec(name="p", choices=({"a": 1}, [2])), [2]),
        (PortSpec(name="p", type="string", multiple=True), []),
        (PortSpec(name="p", type="string", multiple=True), ["a", "b"]),
        (PortSpec(name="p", multiple=True), None),
        (PortSpec(name="p", type="vector"), [1, 2.5]),
    ],
)
def test_values_at_the_border_fit(port: PortSpec, value: Any) -> None:
    assert check_value(port, value) is None


class Movie(TypedDict):
    title: str


class Frame:
    pass


class Name(str):
    pass


UserId = NewType("UserId", int)


@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        (str, "string"),
        (int, "integer"),
        (float, "number"),
        (bool, "boolean"),
        (bytes, "bytes"),
        (list, "list"),
        (list[str], "list"),
        (tuple[int, ...], "list"),
        (Sequence[str], "list"),
        (Iterable[int], "list"),
        (dict, "map"),
        (dict[str, Any], "map"),
        (Mapping[str, int], "map"),
        (Movie, "map"),
        (Any, "any"),
        (object, "any"),
        (None, "any"),
        (Optional[str], "string"),  # noqa: UP045 - the old spelling must work too
        (str | None, "string"),
        (Union[int, float], "number"),  # noqa: UP007 - as above
        (int | str, "any"),
        (list[str] | None, "list"),
        (Literal["a", "b"], "string"),
        (Literal[1, "b"], "any"),
        (Annotated[int, "unit"], "integer"),
        (UserId, "integer"),
        (Name, "string"),
        (Colour, "string"),
        (Frame, "Frame"),
    ],
)
def test_a_hint_means(hint: Any, kind: str) -> None:
    assert type_of(hint) == kind


def test_values_are_shown_short_and_in_the_words_of_json() -> None:
    assert [shown(value) for value in (None, True, False, "x")] == ["null", "true", "false", "'x'"]
    assert len(shown("y" * 10_000)) < 80
    assert len(shown([["z" * 100] * 100] * 100)) <= 120
    assert shown(10**5000) == "a number of very many digits"
