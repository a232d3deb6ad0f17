"""The catalogue: lazy core types, user types, and names that are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graphport.core.errors import LookupFailed
from graphport.graph.authoring import node, node_type_of
from graphport.graph.catalogue import Catalogue

if TYPE_CHECKING:
    from graphport.contracts.node import NodeType


def make(name: str) -> NodeType:
    @node(type=name)
    def anything(text: str) -> str:
        return text

    return node_type_of(anything)


class Loader:
    def __init__(self, name: str) -> None:
        self.calls = 0
        self._made = make(name)

    def __call__(self) -> NodeType:
        self.calls += 1
        return self._made


def test_core_types_load_once_and_only_when_asked_for() -> None:
    merge, other = Loader("merge"), Loader("other")
    catalogue = Catalogue({"merge": merge, "other": other})

    assert catalogue.names() == ["merge", "other"]
    assert "merge" in catalogue
    assert len(catalogue) == 2
    assert (merge.calls, other.calls) == (0, 0)

    assert catalogue.get("merge") is catalogue.get("merge")
    assert (merge.calls, other.calls) == (1, 0)


def test_an_unknown_name_is_none() -> None:
    catalogue = Catalogue({"merge": Loader("merge")})

    assert catalogue.get("marge") is None
    assert "marge" not in catalogue
    assert catalogue.nearest("marge") == "merge"
    assert catalogue.nearest("xyzzy") is None


def test_iteration_gives_all_types_sorted() -> None:
    catalogue = Catalogue({"b": Loader("b"), "d": Loader("d")})
    catalogue.register(make("c"))
    catalogue.register(make("a"))

    assert [one.spec.type for one in catalogue] == ["a", "b", "c", "d"]


def test_the_same_type_may_be_registered_again() -> None:
    catalogue = Catalogue()
    mine = make("mine")

    catalogue.register(mine)
    catalogue.register(mine)

    assert catalogue.names() == ["mine"]


def test_a_name_used_twice_names_both_modules() -> None:
    catalogue = Catalogue()
    catalogue.register(make("mine"))

    with pytest.raises(LookupFailed) as caught:
        catalogue.register(make("mine"))

    assert caught.value.code == "duplicate_id"
    assert caught.value.message.count(__name__) == 2


def test_a_core_name_is_taken_unless_shadowing_is_meant() -> None:
    catalogue = Catalogue({"merge": Loader("merge")})
    mine = make("merge")

    with pytest.raises(LookupFailed, match="core type") as caught:
        catalogue.register(mine)
    assert caught.value.code == "duplicate_id"
    assert catalogue.get("merge") is not mine

    catalogue.register(mine, shadow=True)
    assert catalogue.get("merge") is mine
    assert catalogue.names() == ["merge"]
