from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from graphport.cli.graph_file import GraphFile, _lines_of_items, locate
from graphport.graph.model import Fault, invalid_graph

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(items=st.lists(VALUES, max_size=6), indent=st.sampled_from([None, 0, 2]))
def test_an_item_s_line_is_where_its_text_begins(items: list[Any], indent: int | None) -> None:
    text = json.dumps({"other": [[1], {"nodes": [2]}], "nodes": items}, indent=indent)

    lines = _lines_of_items(text, {("nodes",)})

    assert list(lines) == [(("nodes",), index) for index in range(len(items))]
    for (_, index), line in lines.items():
        # What comes before the item, cut off in its line, holds exactly the items before it.
        rest = "\n".join(text.split("\n")[line - 1 :])
        shown = json.dumps(items[index], indent=indent)
        first = shown.split("\n")[0]
        assert first in rest.split("\n")[0]


def test_a_list_in_a_list_is_not_taken_for_the_nodes() -> None:
    assert _lines_of_items('[{"nodes": [1]}]', {("nodes",)}) == {}


def test_escaped_keys_are_read() -> None:
    assert _lines_of_items('{"no\\u0064es":\n[\n1]}', {("nodes",)}) == {(("nodes",), 0): 3}


def test_places_are_found_in_a_long_file_without_recursion() -> None:
    nodes = [{"id": f"n{index}", "type": "t"} for index in range(20_000)]
    text = json.dumps({"nodes": nodes}, indent=0)
    error = invalid_graph([Fault("unknown_type", "m", "n19999")])

    (fault,) = locate(error, GraphFile(name="g", text=text, raw={"nodes": nodes}))

    assert fault.lines == (text[: text.index('"n19999"')].count("\n"),)
