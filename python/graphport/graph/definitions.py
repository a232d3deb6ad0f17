"""The graphs within a graph: read, in order, and the node types that hang on them.

A node may hold a graph, in its data or by its name in the outermost graph's `graphs`; each is a `Definition`, read once
however many nodes hold it. What its holders must know of it (ports, effect class, digest) is found from the innermost
outwards, without recursion, so that ten thousand may lie within one another. Must not compile: that waits until a
demand comes to it. Called by `validate` and `compile`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.node import ERROR_PORT, Effect, NodeType, PortSpec
from graphport.core.errors import GraphportError
from graphport.graph.cycles import find_cycles
from graphport.graph.digest import BLAKE2B, digest
from graphport.graph.model import Fault, Graph
from graphport.graph.port_types import shown
from graphport.graph.read import Reading, read_graph

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphport.graph.catalogue import Catalogue
    from graphport.graph.model import Node

_STRENGTH: Final[dict[Effect, int]] = {"pure": 0, "seeded": 1, "volatile": 2, "effect": 3}
# Nobody reads a longer path, and one may lead through ten thousand graphs.
_PATH_NAMES_MOST: Final = 100


class Definition:
    """One graph within a graph, or the outermost: `contracts.inner_graph.InnerGraph`.

    Attributes:
        reading: what could be read of it.
        holder: the definition it was first found in, and the node there that holds it; None for the outermost, and for
            one that only stands in `graphs`.
        name: its name in `graphs`, or None.
        types: of each node whose ports are its own, its type, by id.
        inner: of each node that holds a graph, that graph, by id.
        input_nodes: name of each input to the id of the node that declares it.
        output_nodes: the same of the outputs.
        compiled: what `compile` made of it.
        compiling: the future of that, while a thread does it.
    """

    __slots__ = (
        "catalogue",
        "compiled",
        "compiling",
        "digest",
        "effect",
        "gate",
        "holder",
        "inner",
        "input_nodes",
        "inputs",
        "name",
        "output_nodes",
        "outputs",
        "reading",
        "streams",
        "types",
    )

    def __init__(
        self, reading: Reading, catalogue: Catalogue, name: str | None, holder: tuple[Definition, str] | None
    ) -> None:
        self.reading = reading
        self.catalogue = catalogue
        self.name = name
        self.holder = holder
        self.types: dict[str, NodeType] = {}
        self.inner: dict[str, Definition] = {}
        self.inputs: tuple[PortSpec, ...] = ()
        self.outputs: tuple[PortSpec, ...] = ()
        self.effect: Effect = "pure"
        self.gate = self.streams = False
        self.digest = b""
        self.input_nodes: dict[str, str] = {}
        self.output_nodes: dict[str, str] = {}
        self.compiled: Any = None
        self.compiling: Any = None

    @property
    def graph(self) -> Graph:
        """Its nodes and edges, and all settings that reach them."""
        return self.reading.graph

    def type_of(self, node: Node) -> NodeType | None:
        """The type of one of its nodes; None if there is no such type, or the node's data give it none."""
        own = self.types.get(node.id)
        if own is not None:
            return own
        found = self.catalogue.get(node.type)
        return None if found is None or found.shape is not None else found

    def path(self) -> str:
        """The ids of the nodes that hold it, from the outermost, a slash between each two; the outermost has none."""
        names: list[str] = []
        at: Definition = self
        while at.holder is not None:
            at, node_id = at.holder
            names.append(node_id)
        if at.name is not None:
            names.append(at.name)
        if len(names) > _PATH_NAMES_MOST:
            names[_PATH_NAMES_MOST // 2 : -_PATH_NAMES_MOST // 2] = ["…"]
        return "/".join(reversed(names))


class Definitions:
    """All graphs of one graph.

    Attributes:
        root: the outermost.
        all: every one of them, the root first.
        faults: what is wrong with how they are held; what is wrong within them is for `validate` to say.
    """

    def __init__(self, reading: Reading, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._shaped: dict[str, NodeType | None] = {}
        self._shapes: dict[tuple[Any, ...], NodeType] = {}
        self._named: dict[str, Definition] = {}
        self._settings = reading.graph.settings
        self.faults: list[Fault] = []
        self._raw = self._graphs(reading.graph)
        self.root = Definition(reading, catalogue, None, None)
        self.all = [self.root]
        for definition in self._growing():
            self._find_inner(definition)
        for definition in self._in_order():
            self._settle(definition)

    def __eq__(self, other: object) -> bool:
        """Always: what was found of a graph does not tell it from one that is equal."""
        return True

    __hash__ = None  # type: ignore[assignment]

    def _graphs(self, graph: Graph) -> dict[str, Any]:
        found = (graph.model_extra or {}).get("graphs")
        if found is None or (isinstance(found, dict) and all(isinstance(key, str) and key for key in found)):
            return found or {}
        text = f"The graph's `graphs` should be a map of name to graph, got {shown(found)}."
        self.faults.append(Fault("bad_message", text))
        return {}

    def _growing(self) -> Iterator[Definition]:
        """All definitions, those that are found meanwhile too, then what is named and held by none."""
        place = 0
        while place < len(self.all):
            yield self.all[place]
            place += 1
            if place == len(self.all):
                unused = next((name for name in self._raw if name not in self._named), None)
                if unused is not None:
                    self._add_named(unused, None)

    def _base(self, name: str) -> NodeType | None:
        """The type of that name if its nodes have ports of their own."""
        if name not in self._shaped:
            found = self._catalogue.get(name)
            self._shaped[name] = None if found is None or found.shape is None else found
        return self._shaped[name]

    def _find_inner(self, definition: Definition) -> None:
        """Find the graphs that its nodes hold, and the ports that its nodes declare."""
        inputs: dict[str, PortSpec] = {}
        outputs: dict[str, PortSpec] = {}
        for node in definition.graph.nodes:
            base = self._base(node.type)
            if base is None:
                continue
            if base.holds_graph:
                inner = self._held_by(node, definition)
                if inner is not None:
                    definition.inner[node.id] = inner
                continue
            self._shape(node, base, None, definition)
            if base.declares is not None and node.id in definition.types:
                self._declare(node, definition, inputs if base.declares == "input" else outputs, base.declares)
        definition.inputs, definition.outputs = tuple(inputs.values()), tuple(outputs.values())

    def _held_by(self, node: Node, definition: Definition) -> Definition | None:
        raw = node.data.get("graph")
        if isinstance(raw, dict):
            return self._add(raw, None, (definition, node.id))
        if not isinstance(raw, str):
            what = "has none" if raw is None else f"has {shown(raw)}"
            text = f"{node.type} holds a graph, or the name of one of `graphs`, in its data `graph`; it {what}."
        elif raw in self._named:
            return self._named[raw]
        elif raw in self._raw:
            return self._add_named(raw, (definition, node.id))
        else:
            known = ", ".join(map(repr, self._raw)) or "no graphs"
            text = f"{node.type} holds the graph {raw!r}, which `graphs` does not have; there are {known[:500]}."
        self._fault(
            definition, "invalid_input" if not isinstance(raw, str) else "unknown_graph", text, node.id, "graph"
        )
        return None

    def _add_named(self, name: str, holder: tuple[Definition, str] | None) -> Definition:
        made = self._named[name] = self._add(self._raw[name], name, holder)
        return made

    def _add(self, raw: Any, name: str | None, holder: tuple[Definition, str] | None) -> Definition:
        reading = read_graph(raw, self._catalogue)
        graph = reading.graph
        reading.graph = Graph.model_construct(
            nodes=graph.nodes, edges=graph.edges, settings={**self._settings, **graph.settings}
        )
        made = Definition(reading, self._catalogue, name, holder)
        if (graph.model_extra or {}).get("graphs") is not None:
            self._fault(made, "bad_message", "`graphs` stands in the outermost graph alone.", None, None)
        self.all.append(made)
        return made

    def _declare(self, node: Node, definition: Definition, ports: dict[str, PortSpec], kind: str) -> None:
        spec = definition.types[node.id].spec
        name = node.data.get("name") or node.id
        if name in ports:
            self._fault(
                definition, "duplicate_id", f"Two nodes declare the {kind} {name!r} of the graph.", node.id, "name"
            )
            return
        nodes = definition.input_nodes if kind == "input" else definition.output_nodes
        nodes[name] = node.id
        ports[name] = spec.inputs[0].model_copy(update={"name": name, "external": False})

    def _shape(self, node: Node, base: NodeType, inner: Definition | None, definition: Definition) -> None:
        """Give a node its type. Nodes of equal data that hold one graph share it."""
        data = {key: value for key, value in node.data.items() if key != "graph"} if inner is not None else node.data
        known = (node.type, None if inner is None else id(inner), digest(data))
        made = self._shapes.get(known)
        if made is None:
            try:
                made = base.shape(node.data, inner)  # type: ignore[misc]
            except GraphportError as error:
                self._fault(definition, error.code, error.message, node.id, None)
                return
            if known[2] is not None:
                self._shapes[known] = made
        definition.types[node.id] = made

    def _in_order(self) -> list[Definition]:
        """All of them, each behind those that it holds. Those in a circle come last, and are a fault."""
        place_of = {id(definition): place for place, definition in enumerate(self.all)}
        held = [[place_of[id(inner)] for inner in definition.inner.values()] for definition in self.all]
        if not any(held):
            return self.all[::-1]
        for cycle in find_cycles(held):
            self._tell_cycle([self.all[place] for place in cycle])
        waits = [len(inner) for inner in held]
        holders: list[list[int]] = [[] for _ in held]
        for place, inner in enumerate(held):
            for one in inner:
                holders[one].append(place)
        order = [place for place, count in enumerate(waits) if not count]
        for place in order:
            for holder in holders[place]:
                waits[holder] -= 1
                if not waits[holder]:
                    order.append(holder)
        done = set(order)
        return [self.all[place] for place in (*order, *(place for place in range(len(held)) if place not in done))]

    def _tell_cycle(self, cycle: list[Definition]) -> None:
        names = [repr(definition.name) if definition.name else f"({definition.path()})" for definition in cycle]
        shown_names = names[:_PATH_NAMES_MOST] + (
            [f"… {len(names) - _PATH_NAMES_MOST} more …"] if names[_PATH_NAMES_MOST:] else []
        )
        path = " → ".join([*shown_names, names[0]])
        self._fault(cycle[0], "cycle", f"Graphs hold each other in a circle: {path}.", None, None)

    def _settle(self, definition: Definition) -> None:
        """What a definition's holders must know of it; of the outermost just the types of its nodes."""
        for node in definition.graph.nodes:
            base = self._base(node.type)
            if base is not None and base.holds_graph and node.id in definition.inner:
                self._shape(node, base, definition.inner[node.id], definition)
        if definition is self.root:
            return
        types = [definition.type_of(node) for node in definition.graph.nodes]
        seed_edges = {edge.target for edge in definition.graph.edges if edge.target_handle == "seed"}
        for node, node_type in zip(definition.graph.nodes, types, strict=True):
            if node_type is None:
                continue
            effect = node_type.spec.effect
            if effect == "seeded" and (node.id in seed_edges or node.data.get("seed") is not None):
                effect = "pure"
            definition.effect = max(definition.effect, effect, key=_STRENGTH.__getitem__)
            definition.gate = definition.gate or node_type.spec.gate
            inner_streams = node_type.inner is not None and node_type.inner.streams
            definition.streams = definition.streams or node_type.spec.streams or inner_streams
        definition.gate = definition.gate or any(edge.source_handle == ERROR_PORT for edge in definition.graph.edges)
        definition.digest = _digest(definition, types)

    def _fault(self, definition: Definition, code: str, text: str, node: str | None, port: str | None) -> None:
        self.faults.append(
            placed(Fault(code, text if node is None else f"Node {node!r}: {text}", node, port), definition)
        )


def placed(fault: Fault, definition: Definition) -> Fault:
    """A fault of one of the graphs, with the way to it."""
    path = definition.path()
    if not path:
        return fault
    node = path if fault.node is None else f"{path}/{fault.node}"
    return Fault(fault.code, f"In the graph of {path!r}: {fault.message}", node, fault.port)


def definitions_of(graph: Graph, catalogue: Catalogue) -> Definitions:
    """The graphs within a graph, found once."""
    known = graph._definitions
    if known is None or known.root.graph is not graph:
        known = graph._definitions = Definitions(Reading(graph), catalogue)
    return known  # type: ignore[no-any-return]


def _digest(definition: Definition, types: list[NodeType | None]) -> bytes:
    """What decides the outputs of a graph: its nodes in their order, its edges, and the settings that they read."""
    parts: list[Any] = []
    settings: set[str] = set()
    for node, node_type in zip(definition.graph.nodes, types, strict=True):
        if node_type is None:
            continue
        spec = node_type.spec
        settings.update(port.setting for port in spec.inputs if port.setting is not None)
        data = {key: value for key, value in node.data.items() if key != "graph"} if node_type.inner else node.data
        parts.append((node.id, spec.type, spec.version, spec.effect, node_type.code_digest, data))
    edges = [(edge.source, edge.source_handle, edge.target, edge.target_handle) for edge in definition.graph.edges]
    used = {name: definition.graph.settings.get(name) for name in sorted(settings)}
    # Stored results hang on it. Data that is not plain cannot come over the wire; a graph with such is never shared.
    return BLAKE2B.digest([parts, edges, used]) or os.urandom(16)
