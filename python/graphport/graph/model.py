"""The graph as data: nodes, edges, settings, and the faults that a graph can have.

Frozen, and free of opinions: what is wrong with a graph is said by `read` (shape) and `validate` (meaning).
Must not know node types. Made by `read`, walked by `validate`, compiled by the evaluator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from graphport.core.errors import GraphInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphport.contracts.node import PortSpec

# Nobody reads more, and a graph may have a million nodes.
_FAULTS_CARRIED: Final = 10_000
_CONFIG: Final = ConfigDict(frozen=True, strict=True, extra="allow")

NonEmpty = Annotated[str, Field(min_length=1)]


class Node(BaseModel):
    """One node of a graph. Keys that are not listed here are kept and have no effect.

    Attributes:
        id: unique in the graph.
        type: name of a node type.
        data: values for input ports by port name; other keys have no effect.
        position: where an editor draws it.
    """

    model_config = _CONFIG

    id: NonEmpty
    type: NonEmpty
    data: dict[str, Any] = Field(default_factory=dict)
    position: Any = None


class Edge(BaseModel):
    """One edge: the output `source_handle` of `source` feeds the input `target_handle` of `target`."""

    model_config = _CONFIG

    source: NonEmpty
    source_handle: NonEmpty
    target: NonEmpty
    target_handle: NonEmpty


class Graph(BaseModel):
    """A whole graph. A key `graphs`, kept like every other, has the graphs that nodes hold by name (`definitions`).

    The order of edges is the order in which a port of many edges receives its values.

    Attributes:
        nodes: in the order of the file.
        edges: in the order of the file.
        settings: values that input ports may ask for by `PortSpec.setting`.
    """

    model_config = _CONFIG

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)

    # What `definitions.definitions_of` has found out of it.
    _definitions: Any = PrivateAttr(default=None)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a graph.

    Attributes:
        code: a key of `core.errors.CODES`.
        message: a sentence a person can act on.
        node: id of the node concerned, if one is.
        port: name of the port concerned, if one is.
    """

    code: str
    message: str
    node: str | None = None
    port: str | None = None

    def to_wire(self) -> dict[str, str]:
        """The fault as the map that travels in `details.faults`; absent fields are left out."""
        fields = {"code": self.code, "message": self.message, "node": self.node, "port": self.port}
        return {name: value for name, value in fields.items() if value is not None}


def invalid_graph(faults: Sequence[Fault]) -> GraphInvalid:
    """The one error that carries all these faults."""
    first = faults[0].message
    if len(faults) > 1:
        first = f"The graph has {len(faults)} faults. The first: {first}"
    return GraphInvalid(first, details={"faults": [fault.to_wire() for fault in faults[:_FAULTS_CARRIED]]})


def static_input(port: PortSpec, data: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[bool, Any]:
    """What a graph itself gives an input port that has no edge: `(True, value)`, or `(False, None)`.

    The order is node data, setting, default. A null in data or settings counts as not given, because editors
    save an emptied field as null. A port that is not required is always given: by its default, be it null.
    """
    value = data.get(port.name)
    if value is not None:
        return True, value
    if port.setting is not None:
        value = settings.get(port.setting)
        if value is not None:
            return True, value
    if port.default is not None or not port.required:
        return True, port.default
    return False, None
