"""Builds a graph step by step, in chained calls; each new node is connected to the one before it.

Knows the node types of its catalogue and nothing of running: `app.graph_builder` adds that. A call that raises leaves
the graph as it was. Not for several threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from graphport.core.errors import LookupFailed
from graphport.graph.auto_connect import Placed, edges_for
from graphport.graph.builder_events import BuilderEvent, Listeners
from graphport.graph.builder_forms import BuilderForms
from graphport.graph.catalogue import ports_vary
from graphport.graph.guesses import did_you_mean
from graphport.graph.json_shapes import check_ends
from graphport.graph.method_names import method_names
from graphport.graph.model import Edge, Fault, Graph, Node, invalid_graph
from graphport.graph.read import read_graph
from graphport.graph.validate import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from graphport.contracts.node import NodeSpec
    from graphport.graph.builder_events import Listener
    from graphport.graph.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class _Rename:
    """An edge that the next node is to get."""

    source: str
    output: str
    input: str


@dataclass(frozen=True, slots=True)
class _Step:
    """What `pop` takes back: the nodes that came, and what was true before."""

    nodes: tuple[str, ...]
    ends: tuple[str, ...]
    renames: tuple[_Rename, ...]


class Builder(BuilderForms):
    """A graph in the making.

    Every node type of the catalogue is a method, `text_input` for `text-input`; see `add` for what they take.

    Args:
        catalogue: the node types.
        auto_connect: connect each new node to the one before it; `auto_connect` (the module) says how.
        node_modules: modules of the user's node types, for the code that `to_python` writes.
    """

    def __init__(self, catalogue: Catalogue, *, auto_connect: bool = True, node_modules: Sequence[str] = ()) -> None:
        self._catalogue = catalogue
        self._auto_connect = auto_connect
        self._node_modules = tuple(node_modules)
        self._methods = method_names(catalogue.names(), frozenset(dir(type(self))))
        self._listeners = Listeners()
        self._nodes: dict[str, Node] = {}
        self._edges: list[Edge] = []
        self._settings: dict[str, Any] = {}
        self._about: dict[str, Any] = {}
        self._auto_ids: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._steps: list[_Step] = []
        self._ends: tuple[str, ...] = ()
        self._renames: tuple[_Rename, ...] = ()

    # Building.

    def add(
        self,
        type: str,
        id: str | None = None,
        data: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        /,
        **inputs: Any,
    ) -> Self:
        """Add a node, connected to the one before it.

        Args:
            type: a node type; the method of a type has this argument filled in.
            id: the node's id; without one it is the type with a number, as in `text-input-1`.
            data: values by name, also of names that Python cannot write, and of keys that are no inputs.
            extra: further keys of the node, such as `position`.
            **inputs: values for inputs. An input with a value is not connected.

        Raises:
            LookupFailed: `unknown_type`, or `duplicate_id`.
            TypeError: there is no such input, or it is given twice.
            ValueError: the id is no text, or empty.
            GraphInvalid: `missing_input` or `incompatible_ports`: nothing fits, see the message.
        """
        spec = self._spec(type)
        values = _values(spec, data or {}, inputs)
        node = Node(id=self._new_id(type, id), type=type, data=values, **(extra or {}))
        edges = self._edges_of(Placed(node.id, spec), values, self._renames)
        self._take_step((node,), edges, (node.id,))
        if id is None:
            self._auto_ids.add(node.id)
        self._tell("changed", node.id)
        return self

    def start(self) -> Self:
        """Begin apart: the next node is not connected to those before it."""
        self._ends, self._renames = (), ()
        return self

    def rename(self, source: str, target: str, index: int | str = -1) -> Self:
        """Connect an output of a node to an input of another name, of the node that is added next.

        Args:
            source: name of the output.
            target: name of the input.
            index: which node: -1 is the last one that was added, -2 the one before it; or a node's id.

        Raises:
            LookupFailed: `unknown_node`: there is no such node.
            GraphInvalid: `dangling_edge`: it has no such output.
        """
        node = self._node_at(index)
        self._check_port(node, "output", source)
        self._renames = (*self._renames, _Rename(node.id, source, target))
        return self

    def connect(
        self, source: str, output: str, target: str, input: str, extra: Mapping[str, Any] | None = None, /
    ) -> Self:
        """Add an edge from an output of a node to an input of another.

        Whether the types fit, and whether nodes then wait for each other in a circle, is judged by `graph`.

        Raises:
            LookupFailed: `unknown_node`.
            GraphInvalid: `dangling_edge`: there is no such port.
        """
        self._check_port(self._node_at(source), "output", output)
        self._check_port(self._node_at(target), "input", input)
        self._edges.append(
            Edge(source=source, source_handle=output, target=target, target_handle=input, **(extra or {}))
        )
        self._tell("changed", target)
        return self

    def parallel(self, *branches: Builder | Callable[[Builder], object]) -> Self:
        """Add branches side by side. Each begins after the node before; the next node follows the ends of all.

        Ids that a branch has chosen itself are chosen anew where they are taken. A branch without nodes leads straight
        on.

        Args:
            *branches: builders, which stay as they are; or functions that build in the builder they are given.

        Raises:
            LookupFailed: `duplicate_id`: two branches, or a branch and this builder, were given one id.
            GraphInvalid: the beginning of a branch cannot be connected, as in `add`.
        """
        nodes: dict[str, Node] = {}
        edges: list[Edge] = []
        ends: list[str] = []
        chosen: set[str] = set()
        renames: list[_Rename] = []
        settings = dict(self._settings)
        for branch in map(self._built, branches):
            ids = self._ids_for(branch, nodes)
            chosen |= {ids[one] for one in branch._auto_ids}
            for node in branch._nodes.values():
                nodes[ids[node.id]] = node.model_copy(update={"id": ids[node.id]})
            inner = [_moved(edge, ids) for edge in branch._edges]
            edges += [*inner, *self._edges_of_heads(branch, ids)]
            ends += [ids[end] for end in branch._ends] if branch._nodes else self._ends
            renames += [_Rename(ids[one.source], one.output, one.input) for one in branch._renames]
            settings |= branch._settings
        self._take_step(nodes.values(), edges, tuple(dict.fromkeys(ends)), tuple(renames))
        self._auto_ids |= chosen
        self._settings = settings
        self._tell("changed", None)
        return self

    def pop(self) -> Self:
        """Take back the last step: its node, or its branches, with all their edges.

        Raises:
            LookupFailed: `unknown_node`: there is none.
        """
        if not self._steps:
            raise LookupFailed("The builder has no node to remove.")
        step = self._steps.pop()
        gone = set(step.nodes)
        for node_id in gone:
            del self._nodes[node_id]
        self._auto_ids -= gone
        self._edges = [edge for edge in self._edges if edge.source not in gone and edge.target not in gone]
        self._ends = tuple(end for end in step.ends if end in self._nodes)
        self._renames = tuple(rename for rename in step.renames if rename.source in self._nodes)
        self._tell("changed", step.nodes[0] if len(step.nodes) == 1 else None)
        return self

    def reset(self) -> Self:
        """Begin anew, with an empty graph. Who listens goes on listening."""
        for held in (self._nodes, self._edges, self._settings, self._about, self._auto_ids, self._numbers, self._steps):
            held.clear()
        self._ends, self._renames = (), ()
        self._tell("changed", None)
        self._tell("reset", None)
        return self

    def settings(self, **settings: Any) -> Self:
        """Set settings of the graph, which inputs can ask for."""
        self._settings.update(settings)
        self._tell("changed", None)
        return self

    def about(self, keys: Mapping[str, Any]) -> Self:
        """Set further keys of the graph, such as an editor's `viewport`. They have no effect.

        Raises:
            ValueError: `nodes`, `edges` or `settings` is among them.
        """
        own = Graph.model_fields.keys() & keys.keys()
        if own:
            raise ValueError(f"{', '.join(sorted(own))}: not a further key of the graph, but a part of it.")
        self._about.update(keys)
        self._tell("changed", None)
        return self

    def load(self, raw: Any) -> Self:
        """Add the nodes and edges of a graph in any shape that is read, as they are.

        Raises:
            GraphInvalid: its shape is wrong, or an id is used twice, or an edge leads nowhere.
            LookupFailed: `duplicate_id`: the builder has a node of that id.
        """
        reading = read_graph(raw, self._catalogue)
        if reading.faults:
            raise invalid_graph(reading.faults)
        graph = reading.graph
        check_ends(graph)
        for node in graph.nodes:
            self._check_free(node.id)
        sources = {edge.source for edge in graph.edges}
        self._take_step(graph.nodes, graph.edges, tuple(node.id for node in graph.nodes if node.id not in sources))
        self._settings.update(graph.settings)
        self._about.update(graph.model_extra or {})
        self._tell("changed", None)
        return self

    # What was built.

    def graph(self) -> Graph:
        """The graph.

        Raises:
            GraphInvalid: with everything that is wrong with it, circles among it.
        """
        graph = self.draft()
        validate(graph, self._catalogue)
        return graph

    def draft(self) -> Graph:
        """The graph, whatever is wrong with it."""
        return Graph(
            nodes=tuple(self._nodes.values()), edges=tuple(self._edges), settings=dict(self._settings), **self._about
        )

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all nodes, in the order in which they came."""
        return tuple(self._nodes)

    @property
    def last(self) -> str:
        """The id of the node that was added last.

        Raises:
            LookupFailed: `unknown_node`: there is none.
        """
        return self._node_at(-1).id

    # Listening.

    def on(self, kind: str, listener: Listener) -> Self:
        """Have a function called with a `BuilderEvent` for each event of a kind.

        Raises:
            ValueError: there is no such kind; `builder_events` has them.
        """
        self._listeners.add(kind, listener)
        return self

    def off(self, kind: str, listener: Listener) -> Self:
        """Call it no more."""
        self._listeners.remove(kind, listener)
        return self

    def __getattr__(self, name: str) -> Any:
        # Only for names that are no attribute: the node types.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        found = self._methods.get(name)
        if found is None:
            guess = did_you_mean(name, [*self._methods, *dir(type(self))])
            raise AttributeError(f"{type(self).__name__} has no method or node type {name!r}.{guess}")
        return partial(self.add, found)

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *self._methods})

    def __len__(self) -> int:
        return len(self._nodes)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self._nodes)} nodes, {len(self._edges)} edges>"

    # Steps.

    def _tell(self, kind: str, node: str | None, value: Any = None) -> None:
        self._listeners.tell(BuilderEvent(kind, node, value))

    def _take_step(
        self,
        nodes: Iterable[Node],
        edges: Iterable[Edge],
        ends: tuple[str, ...],
        renames: tuple[_Rename, ...] = (),
    ) -> None:
        new = {node.id: node for node in nodes}
        self._steps.append(_Step(tuple(new), self._ends, self._renames))
        self._nodes.update(new)
        self._edges.extend(edges)
        self._ends, self._renames = ends, renames

    def _spec(self, type_name: str) -> NodeSpec:
        found = self._catalogue.get(type_name)
        if found is None:
            near = self._catalogue.nearest(type_name)
            hint = f" Did you mean {near!r}?" if near else " Is the module that declares it loaded?"
            raise LookupFailed(f"There is no node type {type_name!r}.{hint}", code="unknown_type")
        return found.spec

    def _node_at(self, index: int | str) -> Node:
        if isinstance(index, str):
            found = self._nodes.get(index)
            if found is None:
                raise LookupFailed(f"The builder has no node {index!r}.{did_you_mean(index, self._nodes)}")
            return found
        if not -len(self._nodes) <= index < 0:
            raise LookupFailed(f"There is no node {index}: the builder has {len(self._nodes)}, counted from -1 back.")
        return next(islice(reversed(self._nodes.values()), -index - 1, None))

    def _new_id(self, type_name: str, wanted: str | None, taken: Mapping[str, Node] | None = None) -> str:
        if wanted is not None:
            if not isinstance(wanted, str) or not wanted:
                raise ValueError(f"a node's id is a text that is not empty, got {wanted!r}")
            self._check_free(wanted)
            return wanted
        number = self._numbers.get(type_name, 1)
        while (chosen := f"{type_name}-{number}") in self._nodes or (taken and chosen in taken):
            number += 1
        self._numbers[type_name] = number if taken is None else 1
        return chosen

    def _check_free(self, node_id: str) -> None:
        if node_id in self._nodes:
            raise LookupFailed(f"The builder has a node {node_id!r}; ids must differ.", code="duplicate_id")

    def _check_port(self, node: Node, kind: str, name: str) -> None:
        found = self._catalogue.get(node.type)
        # Ports in brackets stand for something else than a value, and are judged with the whole graph; so are those of
        # types whose nodes have ports of their own.
        if found is None or name.startswith("[") or ports_vary(found):
            return
        ports = [port.name for port in (found.spec.outputs if kind == "output" else found.spec.inputs)]
        if name not in ports:
            have = f"It has {', '.join(ports) or 'none'}.{did_you_mean(name, ports)}"
            message = f"Node {node.id!r}: {node.type} has no {kind} {name!r}. {have}"
            raise invalid_graph([Fault("dangling_edge", message, node.id, name)])

    # Connecting.

    def _edges_of(self, node: Placed, values: Mapping[str, Any], renames: Sequence[_Rename]) -> list[Edge]:
        """The edges of a new node: those that `rename` asked for, then those that are found."""
        inputs = {port.name for port in node.spec.inputs}
        named = []
        for rename in renames:
            if rename.input not in inputs and not ports_vary(self._catalogue.get(node.spec.type)):
                guess = did_you_mean(rename.input, inputs)
                message = f"`rename` leads to {rename.input!r}, which is no input of {node.spec.type}.{guess}"
                raise invalid_graph([Fault("dangling_edge", message, node.id, rename.input)])
            named.append(
                Edge(source=rename.source, source_handle=rename.output, target=node.id, target_handle=rename.input)
            )
        if not (self._auto_connect and self._ends):
            return named
        given = {name for name, value in values.items() if value is not None and name in inputs}
        given |= {port.name for port in node.spec.inputs if port.setting in self._settings}
        filled = given | {rename.input for rename in renames}
        ends = [self._placed(end) for end in self._ends]
        return [*named, *edges_for(node, ends, self._earlier(), filled, settled=bool(filled))]

    def _earlier(self) -> Iterator[Placed]:
        """The nodes before the last ones, newest first; made as they are asked for."""
        return (self._placed(node_id) for node_id in reversed(self._nodes) if node_id not in self._ends)

    def _placed(self, node_id: str) -> Placed:
        return Placed(node_id, self._spec(self._nodes[node_id].type))

    # Branches.

    def _built(self, branch: Builder | Callable[[Builder], object]) -> Builder:
        if isinstance(branch, Builder):
            return branch
        empty = Builder(self._catalogue, auto_connect=self._auto_connect)
        branch(empty)
        return empty

    def _ids_for(self, branch: Builder, beside: Mapping[str, Node]) -> dict[str, str]:
        """The ids that a branch's nodes have here."""
        ids: dict[str, str] = {}
        taken = dict(beside)
        for node in branch._nodes.values():
            free = node.id not in self._nodes and node.id not in taken
            if not free and node.id not in branch._auto_ids:
                raise LookupFailed(
                    f"Several nodes were given the id {node.id!r}; ids must differ.", code="duplicate_id"
                )
            ids[node.id] = node.id if free else self._new_id(node.type, None, taken)
            taken[ids[node.id]] = node
        return ids

    def _edges_of_heads(self, branch: Builder, ids: Mapping[str, str]) -> list[Edge]:
        """The edges to those nodes of a branch to which no edge leads."""
        reached = {edge.target for edge in branch._edges}
        edges: list[Edge] = []
        for node in branch._nodes.values():
            if node.id not in reached:
                head = Placed(ids[node.id], self._spec(node.type))
                renames = [one for one in self._renames if head.spec.input(one.input) is not None]
                edges += self._edges_of(head, node.data, renames)
        return edges


def _values(spec: NodeSpec, data: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    names = [port.name for port in spec.inputs]
    for name in inputs:
        if name in data:
            raise TypeError(f"{spec.type} is given {name!r} twice, in its data and by name")
        if name not in names:
            have = ", ".join(names) or "none"
            raise TypeError(f"{spec.type} has no input {name!r}. It has {have}.{did_you_mean(name, names)}")
    return {**data, **inputs}


def _moved(edge: Edge, ids: Mapping[str, str]) -> Edge:
    return edge.model_copy(update={"source": ids[edge.source], "target": ids[edge.target]})
