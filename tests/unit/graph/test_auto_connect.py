"""How a new node is connected: the four passes, and the order that decides where several outputs would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphport.contracts.node import NodeSpec, PortSpec
from graphport.core.errors import GraphInvalid
from graphport.graph.auto_connect import Placed, edges_for

if TYPE_CHECKING:
    from collections.abc import Iterable


def port(text: str) -> PortSpec:
    """`name: type`, with `!` for required, `~` for external, `*` for many edges."""
    name, _, kind = text.partition(": ")
    marks = {"required": "!" in kind, "external": "~" in kind, "multiple": "*" in kind}
    return PortSpec(name=name, type=kind.rstrip("!~*"), **marks)


def place(node_id: str, inputs: Iterable[str] = (), outputs: Iterable[str] = ()) -> Placed:
    spec = NodeSpec(type=f"type-{node_id}", inputs=tuple(map(port, inputs)), outputs=tuple(map(port, outputs)))
    return Placed(node_id, spec)


def connect(
    inputs: Iterable[str], *previous: Placed, earlier: Iterable[Placed] = (), filled: Iterable[str] = ()
) -> list[str]:
    found = edges_for(place("new", inputs), previous, list(earlier), set(filled), settled=bool(list(filled)))
    return [f"{edge.source}.{edge.source_handle} > {edge.target_handle}" for edge in found]


def code(*arguments: Any, **options: Any) -> tuple[str, str]:
    with pytest.raises(GraphInvalid) as caught:
        connect(*arguments, **options)
    (fault,) = (caught.value.details or {})["faults"]
    return fault["code"], fault["message"]


def test_one_name_and_a_fitting_type_come_first() -> None:
    before = place("p", outputs=["other: string", "text: integer"])

    assert connect(["text: string"], before) == ["p.text > text"]


def test_one_name_with_a_type_that_does_not_fit_is_no_match() -> None:
    assert code(["text: image"], place("p", outputs=["text: vector"]))[0] == "incompatible_ports"


def test_output_goes_to_input() -> None:
    assert connect(["input: string"], place("p", outputs=["x: string", "output: string"])) == ["p.output > input"]
    assert connect(["input: string"], place("p", outputs=["output: string", "input: string"])) == ["p.input > input"]
    assert connect(["in: vector"], place("p", outputs=["output: string", "v: vector"])) == ["p.v > in"]


def test_types_that_say_something_are_matched_without_their_names() -> None:
    before = place("p", outputs=["n: number", "picture: image", "v: vector"])

    assert connect(["where: vector", "what: image", "text: string"], before) == ["p.v > where", "p.picture > what"]


def test_an_output_of_the_very_type_goes_before_one_that_fits() -> None:
    outputs = ["a: masked_prompt", "b: prompt"]

    assert connect(["p: prompt"], place("p", outputs=outputs)) == ["p.b > p"]
    assert connect(["p: prompt"], place("p", outputs=outputs[:1])) == ["p.a > p"]


@pytest.mark.parametrize("kind", ["string", "number", "integer", "boolean", "json", "list", "map", "bytes", "any"])
def test_common_types_are_not_matched_by_type_alone(kind: str) -> None:
    before = place("p", outputs=[f"a: {kind}", "v: vector"])

    assert connect([f"b: {kind}", "w: vector"], before) == ["p.v > w"]


def test_what_is_needed_is_looked_for_further_back_newest_first() -> None:
    old, new = place("old", outputs=["q: string", "v: vector"]), place("new1", outputs=["q: string"])
    before = place("p", outputs=["text: string"])

    assert connect(["text: string", "q: string!", "w: vector!"], before, earlier=[new, old]) == [
        "p.text > text",
        "new1.q > q",
        "old.v > w",
    ]


def test_what_is_not_needed_is_not_looked_for_further_back() -> None:
    before = place("p", outputs=["text: string"])

    assert connect(["text: string", "q: string"], before, earlier=[place("o", outputs=["q: string"])]) == [
        "p.text > text"
    ]


def test_when_nothing_matched_the_first_output_of_the_type_is_taken() -> None:
    before = place("p", outputs=["n: integer", "response: string", "path: string"])

    assert connect(["prompt: string!~", "system: string"], before) == ["p.response > prompt"]
    assert connect(["text: string~"], before) == ["p.response > text"]


def test_when_nothing_matched_an_only_output_goes_where_it_fits() -> None:
    assert connect(["items: any!*"], place("p", outputs=["text: string"])) == ["p.text > items"]
    assert connect(["json: json!"], place("p", outputs=["text: string"])) == ["p.text > json"]
    assert code(["items: any!*"], place("p", outputs=["text: string", "n: integer"]))[0] == "missing_input"


def test_only_one_input_is_filled_by_guess() -> None:
    before = place("p", outputs=["text: string"])

    found, message = code(["prompt: string!~", "path: string!"], before)

    assert found == "missing_input"
    assert "needs (path)" in message
    assert connect(["prompt: string!~", "path: string!"], before, filled=["path"]) == ["p.text > prompt"]


def test_nothing_is_guessed_where_something_matched() -> None:
    assert connect(["v: vector", "text: string~"], place("p", outputs=["w: vector", "x: string"])) == ["p.w > v"]


def test_what_a_demand_may_bring_may_stay_open() -> None:
    assert connect(["v: vector", "text: string!~"], place("p", outputs=["w: vector", "n: number"])) == ["p.w > v"]


def test_inputs_that_are_filled_are_left_alone() -> None:
    assert connect(["text: string", "n: number"], place("p", outputs=["text: string", "n: number"]), filled=["n"]) == [
        "p.text > text"
    ]
    assert connect(["text: string"], place("p", outputs=["text: string"]), filled=["text"]) == []


def test_a_node_without_inputs_needs_none() -> None:
    assert connect([], place("p", outputs=["text: string"])) == []


def test_several_nodes_before_give_to_an_input_of_many_edges_each() -> None:
    before = [place("a", outputs=["text: string"]), place("b", outputs=["text: string"])]

    assert connect(["text: string*"], *before) == ["a.text > text", "b.text > text"]
    assert connect(["all: any!*"], *before) == ["a.text > all", "b.text > all"]
    assert connect(["text: string"], *before) == ["a.text > text"]


def test_the_error_names_both_sides_with_their_types() -> None:
    found, message = code(["image: image", "size: integer"], place("p", outputs=["text: string", "n: number"]))

    assert found == "incompatible_ports"
    assert message == (
        "Could not find a match between the outputs of type-p (text: string, n: number) and the inputs of type-new "
        "(image: image, size: integer). The node was not added. Give it values, name the ports with `rename` before, "
        "or begin apart with `start` and `connect`."
    )


def test_the_error_of_a_needed_input_names_it() -> None:
    found, message = code(["image: image!", "size: integer"], place("p"))

    assert found == "missing_input"
    assert message.startswith(
        "Nothing matches what type-new needs (image) among the outputs of type-p (none) and the inputs of type-new "
        "(image: image)."
    )
