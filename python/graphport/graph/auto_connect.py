"""Chooses the edges by which a builder connects a new node to those before it. Pure: names and types of ports decide.

Four passes, each for inputs that have no edge and no value yet; in all of them the order of declaration decides
between several that would do, an output of the input's very type before one that merely fits:

1. an output of the previous node of the same name and a fitting type; else its `output` to an `input`;
2. an output of the previous node of a fitting type, where both types say more than `string` or `any` do;
3. for inputs that the node needs: passes 1 and 2 with each earlier node, the newest first;
4. if nothing was connected to the previous node: to the first input that the node needs or waits for, the first output
   of its very type, or the only output if that fits.

After parallel branches there are several previous nodes. An input for many edges then takes one from each of them,
another input one from the first that has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphport.graph.model import Edge, Fault, invalid_graph
from graphport.graph.port_types import fits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from graphport.contracts.node import NodeSpec, PortSpec

    _Fit = Callable[[tuple[PortSpec, ...], PortSpec], PortSpec | None]

# Types of which most graphs have many values that have nothing to do with each other.
COMMON_TYPES: Final = frozenset(
    {"any", "boolean", "bytes", "integer", "json", "list", "map", "number", "stream", "string"}
)
_NAMES_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Placed:
    """A node of the graph that is being built: its id and its type's spec."""

    id: str
    spec: NodeSpec


def edges_for(
    node: Placed, previous: Sequence[Placed], earlier: Iterable[Placed], filled: Collection[str], *, settled: bool
) -> list[Edge]:
    """The edges that connect a new node.

    Args:
        node: the new node.
        previous: the nodes it follows; one, or several after parallel branches.
        earlier: the others, newest first.
        filled: its inputs that have a value or an edge.
        settled: it has edges already, or was given values: then nothing more need be found.

    Raises:
        GraphInvalid: `missing_input` if nothing fits an input that the node needs, else `incompatible_ports` if nothing
            at all could be connected.
    """
    finding = _Finding(node, filled)
    finding.look_at(previous, finding.open_inputs)
    for before in earlier:
        if not finding.needed():
            break
        finding.look_at([before], finding.needed)
    if not finding.reaches(previous):
        waiting = finding.needed() or finding.waited_for()
        if waiting:
            finding.take(waiting[0], previous, _first_of_type)
    needed = finding.needed(external=False)
    if needed:
        raise _nothing_for(needed, node, previous)
    if not finding.edges and node.spec.inputs and not settled:
        raise _no_match(node, previous)
    return finding.edges


class _Finding:
    """The edges found so far."""

    def __init__(self, node: Placed, filled: Collection[str]) -> None:
        self._node = node
        self._filled = set(filled)
        self.edges: list[Edge] = []

    def open_inputs(self) -> list[PortSpec]:
        return [port for port in self._node.spec.inputs if port.name not in self._filled]

    def needed(self, *, external: bool = True) -> list[PortSpec]:
        """Inputs without which the node cannot run; those that a demand may bring too, or not."""
        return [
            port
            for port in self.open_inputs()
            if port.required and port.default is None and port.setting is None and (external or not port.external)
        ]

    def waited_for(self) -> list[PortSpec]:
        """Inputs that are meant to be given by edges or demands, needed or not."""
        return [port for port in self.open_inputs() if port.external]

    def reaches(self, nodes: Sequence[Placed]) -> bool:
        """Whether any of these nodes is connected."""
        ids = {node.id for node in nodes}
        return any(edge.source in ids for edge in self.edges)

    def look_at(self, sources: Sequence[Placed], inputs: Callable[[], list[PortSpec]]) -> None:
        """Passes 1 and 2 for some of the inputs."""
        for fit in (_by_name, _by_type):
            for port in inputs():
                self.take(port, sources, fit)

    def take(self, port: PortSpec, sources: Sequence[Placed], fit: _Fit) -> None:
        for source in sources:
            found = fit(source.spec.outputs, port)
            if found is None:
                continue
            self.edges.append(
                Edge(source=source.id, source_handle=found.name, target=self._node.id, target_handle=port.name)
            )
            self._filled.add(port.name)
            if not port.multiple:
                return


def _best(outputs: Sequence[PortSpec], port: PortSpec) -> PortSpec | None:
    fitting = [output for output in outputs if fits(output.type, port.type)]
    return next((output for output in fitting if output.type == port.type), fitting[0] if fitting else None)


def _by_name(outputs: tuple[PortSpec, ...], port: PortSpec) -> PortSpec | None:
    same = _best([output for output in outputs if output.name == port.name], port)
    if same is None and port.name == "input":
        same = _best([output for output in outputs if output.name == "output"], port)
    return same


def _by_type(outputs: tuple[PortSpec, ...], port: PortSpec) -> PortSpec | None:
    if port.type in COMMON_TYPES:
        return None
    return _best([output for output in outputs if output.type not in COMMON_TYPES], port)


def _first_of_type(outputs: tuple[PortSpec, ...], port: PortSpec) -> PortSpec | None:
    if port.type != "any":
        same = next((output for output in outputs if output.type == port.type), None)
        if same is not None:
            return same
    return _best(outputs, port) if len(outputs) == 1 else None


def _no_match(node: Placed, previous: Sequence[Placed]) -> Exception:
    message = f"Could not find a match between {_both_sides(node, previous, node.spec.inputs)} {_ADVICE}"
    return invalid_graph([Fault("incompatible_ports", message, node.id)])


def _nothing_for(needed: Sequence[PortSpec], node: Placed, previous: Sequence[Placed]) -> Exception:
    names = ", ".join(port.name for port in needed)
    sides = _both_sides(node, previous, needed)
    message = f"Nothing matches what {node.spec.type} needs ({names}) among {sides} {_ADVICE}"
    return invalid_graph([Fault("missing_input", message, node.id, needed[0].name)])


_ADVICE: Final = "Give it values, name the ports with `rename` before, or begin apart with `start` and `connect`."


def _both_sides(node: Placed, previous: Sequence[Placed], inputs: Sequence[PortSpec]) -> str:
    sources = " and ".join(f"of {before.spec.type} ({_ports(before.spec.outputs)})" for before in previous)
    return f"the outputs {sources} and the inputs of {node.spec.type} ({_ports(inputs)}). The node was not added."


def _ports(ports: Sequence[PortSpec]) -> str:
    shown = [f"{port.name}: {port.type}" for port in ports[:_NAMES_SHOWN]]
    return ", ".join([*shown, "…"] if len(ports) > len(shown) else shown) or "none"
