"""Says everything that is wrong with a graph, in one answer.

Linear in the size of the graph, without recursion. Must not run nodes or change the graph. Called by whoever
loads graphs: the evaluator when a session opens, and the command line.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.node import ERROR_PORT, PortSpec
from graphport.graph.cycles import find_cycles
from graphport.graph.definitions import Definitions, placed
from graphport.graph.model import Fault, invalid_graph, static_input
from graphport.graph.port_types import check_value, fits
from graphport.graph.read import Reading, read_graph
from graphport.graph.size import size_faults

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from graphport.contracts.node import NodeSpec
    from graphport.graph.catalogue import Catalogue
    from graphport.graph.definitions import Definition
    from graphport.graph.model import Edge, Graph, Node

# Looking for the most similar id costs time for each id there is: done for small graphs and few faults only.
_GUESS_AMONG_MOST: Final = 2_000
_GUESSES_MOST: Final = 20
_CYCLE_NAMES_MOST: Final = 100
# How like an input's name a word in `data` must be to be taken for a slip; apps keep words of their own there.
_SLIP_LIKENESS: Final = 0.8
_SLIPS_TOLD_MOST: Final = 20
_ERROR: Final = PortSpec(name=ERROR_PORT, type="error")

_log = logging.getLogger("graphport.graph")


def load_graph(raw: Any, catalogue: Catalogue) -> Graph:
    """Read and check a graph.

    Raises:
        GraphInvalid: with every fault of shape and of meaning.
    """
    reading = read_graph(raw, catalogue)
    faults = faults_of(reading, catalogue)
    if faults:
        raise invalid_graph(faults)
    return reading.graph


def validate(graph: Graph, catalogue: Catalogue) -> None:
    """Check a graph that was built, not read.

    Raises:
        GraphInvalid: with every fault.
    """
    faults = find_faults(graph, catalogue)
    if faults:
        raise invalid_graph(faults)


def find_faults(graph: Graph, catalogue: Catalogue, *, inputs_of: Container[str] | None = None) -> list[Fault]:
    """Every fault of a graph that was built, not read. Inputs are looked at of all nodes, or of those of these ids."""
    return faults_of(Reading(graph), catalogue, inputs_of=inputs_of)


def faults_of(reading: Reading, catalogue: Catalogue, *, inputs_of: Container[str] | None = None) -> list[Fault]:
    """Every fault of what was read, those of the reading first, then those of the graphs within it."""
    definitions = reading.graph._definitions = Definitions(reading, catalogue)
    faults: list[Fault] = []
    for definition in definitions.all:
        outermost = definition is definitions.root
        found = definition.reading.faults + _Inspection(definition, inputs_of if outermost else None).run()
        faults += [placed(fault, definition) for fault in found]
        if outermost:
            faults += definitions.faults
    return faults


@dataclass(slots=True)
class _Ports:
    """The ports of one node type, ready to be looked up."""

    inputs: dict[str, PortSpec]
    outputs: dict[str, PortSpec]
    required: list[PortSpec]
    with_setting: list[PortSpec]


def _ports(spec: NodeSpec) -> _Ports:
    return _Ports(
        inputs={port.name: port for port in spec.inputs},
        outputs={port.name: port for port in spec.outputs},
        required=[port for port in spec.inputs if port.required and not port.external],
        with_setting=[port for port in spec.inputs if port.setting is not None],
    )


class _Inspection:
    """One pass over one graph."""

    def __init__(self, definition: Definition, inputs_of: Container[str] | None) -> None:
        self._reading = definition.reading
        self._inputs_of = inputs_of
        self._graph = definition.graph
        self._catalogue = definition.catalogue
        self._types = definition.types
        self._faults: list[Fault] = []
        self._index: dict[str, int] = {}
        self._ports_of_type: dict[str, _Ports | None] = {}
        self._shared: dict[int, _Ports] = {}
        self._missing_services: dict[str, str | None] = {}
        self._own_ports: dict[str, _Ports | None] = {}
        self._unknown_type_hints: dict[str, str] = {}
        self._slips: dict[tuple[int, str], str | None] = {}
        self._setting_problems: dict[tuple[int, str], str | None] = {}
        # For each (node, input port): the edges that lead to it.
        self._edges_to: dict[tuple[str, str], list[Edge]] = {}
        self._guesses_left = _GUESSES_MOST if len(self._graph.nodes) <= _GUESS_AMONG_MOST else 0

    def run(self) -> list[Fault]:
        too_large = size_faults(len(self._graph.nodes), len(self._graph.edges))
        if too_large:
            return too_large
        self._look_at_ids_and_types()
        self._look_at_edges()
        self._look_at_crowded_ports()
        self._look_at_inputs()
        self._look_for_cycles()
        return self._faults

    def _fault(self, code: str, message: str, node: str | None = None, port: str | None = None) -> None:
        self._faults.append(Fault(code, message, node, port))

    def _look_at_ids_and_types(self) -> None:
        repeated: dict[str, int] = {}
        for position, node in enumerate(self._graph.nodes):
            if self._index.setdefault(node.id, position) != position:
                repeated[node.id] = repeated.get(node.id, 1) + 1
            if not self._know_ports(node):
                self._fault("unknown_type", self._unknown_type_message(node), node.id)
            else:
                self._look_for_services(node)
        for node_id, count in repeated.items():
            self._fault("duplicate_id", f"{count} nodes have the id {node_id!r}; ids must differ.", node_id)

    def _look_for_services(self, node: Node) -> None:
        if node.type not in self._missing_services:
            found = self._catalogue.get(node.type)
            self._missing_services[node.type] = None if found is None else self._catalogue.missing_service(found)
        missing = self._missing_services[node.type]
        if missing is not None:
            there = ", ".join(self._catalogue.services or ()) or "none"
            text = (
                f"Node {node.id!r} ({node.type}) needs the service {missing!r}, which is not there. There are: {there}."
            )
            self._fault("backend_unavailable", text, node.id)

    def _know_ports(self, node: Node) -> bool:
        """Look the ports of a node's type up; False if there is no such type."""
        if node.type not in self._ports_of_type:
            found = self._catalogue.get(node.type)
            self._ports_of_type[node.type] = None if found is None or found.shape is not None else _ports(found.spec)
        if self._ports_of_type[node.type] is not None:
            return True
        if node.type not in self._catalogue:
            return False
        # Its ports are its own; if its data give it none, that is a fault that is told already.
        own = self._types.get(node.id)
        self._own_ports[node.id] = None if own is None else self._shared.setdefault(id(own), _ports(own.spec))
        return True

    def _ports_of(self, node: Node) -> _Ports | None:
        ports = self._ports_of_type[node.type]
        return self._own_ports.get(node.id) if ports is None else ports

    def _unknown_type_message(self, node: Node) -> str:
        hint = self._unknown_type_hints.get(node.type)
        if hint is None:
            nearest = self._catalogue.nearest(node.type)
            hint = f"Did you mean {nearest!r}?" if nearest else "Is the module that declares it loaded?"
            self._unknown_type_hints[node.type] = hint
        return f"Node {node.id!r}: there is no node type {node.type!r}. {hint}"

    def _look_at_edges(self) -> None:
        index, edges_to = self._index, self._edges_to
        for edge in self._graph.edges:
            source, target = index.get(edge.source), index.get(edge.target)
            if source is None or target is None:
                self._missing_end(edge, source is None, target is None)
            if target is not None:
                edges_to.setdefault((edge.target, edge.target_handle), []).append(edge)
            output = None if source is None else self._port(edge, source, "output")
            input_ = None if target is None else self._port(edge, target, "input")
            if output is not None and input_ is not None and not fits(output.type, input_.type):
                self._fault(
                    "incompatible_ports",
                    f"{_named(edge)}: the output is of type {output.type}, the input takes {input_.type}.",
                    edge.target,
                    edge.target_handle,
                )

    def _port(self, edge: Edge, position: int, kind: str) -> PortSpec | None:
        """The port at one end of an edge; None, and a fault, if the node has no such port."""
        node = self._graph.nodes[position]
        ports = self._ports_of(node)
        if ports is None:
            return None
        if kind == "output":
            existing, name = ports.outputs, edge.source_handle
        else:
            existing, name = ports.inputs, edge.target_handle
        port = existing.get(name)
        if port is None and kind == "output" and name == ERROR_PORT:
            return _ERROR
        if port is None:
            have = f"It has {', '.join(existing)}." if existing else "It has none."
            nearest = get_close_matches(name, existing, n=1)
            guess = f" Did you mean {nearest[0]!r}?" if nearest else ""
            message = f"{_named(edge)}: {node.type} has no {kind} port {name!r}. {have}{guess}"
            self._fault("dangling_edge", message, node.id, name)
        return port

    def _missing_end(self, edge: Edge, no_source: bool, no_target: bool) -> None:
        for missing, node_id in ((no_source, edge.source), (no_target, edge.target)):
            if not missing or node_id in self._reading.broken_nodes or self._reading.nameless_nodes:
                continue
            guess = self._guess(node_id, self._index)
            self._fault("dangling_edge", f"{_named(edge)}: there is no node {node_id!r}.{guess}", node_id)

    def _guess(self, name: str, existing: Iterable[str]) -> str:
        if self._guesses_left == 0:
            return ""
        self._guesses_left -= 1
        nearest = get_close_matches(name, existing, n=1)
        return f" Did you mean {nearest[0]!r}?" if nearest else ""

    def _look_at_crowded_ports(self) -> None:
        for (node_id, name), edges in self._edges_to.items():
            if len(edges) == 1:
                continue
            ports = self._ports_of(self._graph.nodes[self._index[node_id]])
            port = None if ports is None else ports.inputs.get(name)
            if port is None or port.multiple:
                continue
            sources = " and ".join(f"{edge.source}.{edge.source_handle}" for edge in edges)
            self._fault(
                "duplicate_edge",
                f"The input {name!r} of {node_id!r} takes one edge, but {len(edges)} lead to it: from {sources}.",
                node_id,
                name,
            )

    def _look_at_inputs(self) -> None:
        for node in self._graph.nodes:
            ports = self._ports_of(node)
            if ports is None or (self._inputs_of is not None and node.id not in self._inputs_of):
                continue
            for port in ports.required:
                self._look_for_missing_input(node, port)
            for name, value in node.data.items():
                known = ports.inputs.get(name)
                if known is None:
                    self._look_for_slip(node, name, ports)
                # An edge outranks data, and null counts as not given: neither value would ever be used.
                if known is None or value is None or (node.id, name) in self._edges_to:
                    continue
                problem = check_value(known, value)
                if problem is not None:
                    self._fault("invalid_input", f"Node {node.id!r}, data {name!r}: {problem}.", node.id, name)
            for port in ports.with_setting:
                self._look_at_setting(node, port, ports)

    def _look_for_slip(self, node: Node, name: str, ports: _Ports) -> None:
        """Warn of a word in `data` that is nearly an input's name: it is no fault, but has no effect either."""
        key = (id(ports), name)
        if key in self._slips:
            return
        near = get_close_matches(name, ports.inputs, n=1, cutoff=_SLIP_LIKENESS) if len(name) < 100 else []
        meant = self._slips[key] = near[0] if near and near[0] not in node.data else None
        if meant is not None and sum(slip is not None for slip in self._slips.values()) <= _SLIPS_TOLD_MOST:
            _log.warning(
                "node %r, data %r: %s has no input of that name, so it has no effect; did you mean %r?",
                node.id,
                name,
                node.type,
                meant,
            )

    def _look_for_missing_input(self, node: Node, port: PortSpec) -> None:
        # After an edge that could not be read nobody knows which port it would have filled.
        if (node.id, port.name) in self._edges_to or self._reading.broken_edges:
            return
        if static_input(port, node.data, self._graph.settings)[0]:
            return
        setting = f", or the setting {port.setting!r}" if port.setting else ""
        self._fault(
            "missing_input",
            f"Node {node.id!r} ({node.type}) needs the input {port.name!r}: "
            f"connect it, or give it a value in `data`{setting}.",
            node.id,
            port.name,
        )

    def _look_at_setting(self, node: Node, port: PortSpec, ports: _Ports) -> None:
        if (node.id, port.name) in self._edges_to or node.data.get(port.name) is not None or port.setting is None:
            return
        value = self._graph.settings.get(port.setting)
        if value is None:
            return
        key = (id(ports), port.name)
        if key not in self._setting_problems:
            self._setting_problems[key] = check_value(port, value)
        problem = self._setting_problems[key]
        if problem is not None:
            message = f"Node {node.id!r}, input {port.name!r} from setting {port.setting!r}: {problem}."
            self._fault("invalid_input", message, node.id, port.name)

    def _look_for_cycles(self) -> None:
        successors: list[list[int]] = [[] for _ in self._graph.nodes]
        for edges in self._edges_to.values():
            for edge in edges:
                source = self._index.get(edge.source)
                if source is not None:
                    successors[source].append(self._index[edge.target])
        for cycle in find_cycles(successors):
            names = [self._graph.nodes[position].id for position in cycle]
            shown = names[:_CYCLE_NAMES_MOST]
            if len(names) > len(shown):
                shown.append(f"… {len(names) - len(shown)} more …")
            path = " → ".join([*shown, names[0]])
            self._fault("cycle", f"Nodes wait for each other in a circle: {path}.", names[0])


def _named(edge: Edge) -> str:
    return f"Edge {edge.source}.{edge.source_handle} → {edge.target}.{edge.target_handle}"
