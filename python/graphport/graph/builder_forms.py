"""The forms in which a builder gives its graph to others: plain data, a program, a drawing. Part of the builder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphport.graph.draw import to_dot, to_mermaid
from graphport.graph.json_shapes import to_dependency_json, to_json, to_workglow_json
from graphport.graph.python_code import to_python

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphport.graph.catalogue import Catalogue
    from graphport.graph.draw import Timing
    from graphport.graph.model import Graph


class BuilderForms:
    """What is made of `draft()`, so none of these judges whether the graph is sound."""

    _catalogue: Catalogue
    _methods: Mapping[str, str]
    _node_modules: Sequence[str]

    def draft(self) -> Graph:
        """The graph, whatever is wrong with it."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """The graph as plain data: what `Graphport.open/3` takes and files hold."""
        return to_json(self.draft())

    def to_workglow_json(self) -> dict[str, Any]:
        """The graph as Workglow's tasks and dataflows."""
        return to_workglow_json(self.draft())

    def to_dependency_json(self) -> list[dict[str, Any]] | dict[str, Any]:
        """The graph as Workglow's list of tasks, each with what it depends on."""
        return to_dependency_json(self.draft())

    def to_python(self) -> str:
        """A program that builds the same graph; `python_code.to_python` says what it raises."""
        return to_python(self.draft(), self._catalogue, self._methods, self._node_modules)

    def to_mermaid(self, timings: Mapping[str, Timing] | None = None) -> str:
        """The graph as a Mermaid flowchart, with what a run made of its nodes if that is given."""
        return to_mermaid(self.draft(), timings)

    def to_dot(self, timings: Mapping[str, Timing] | None = None) -> str:
        """The same in DOT, for Graphviz."""
        return to_dot(self.draft(), timings)
