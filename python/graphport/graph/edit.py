"""Reads a list of edits and applies it to a graph: nodes, edges and settings as they would be then, and what is wrong.

A `Draft` lies over a compiled graph and holds what differs, so that an edit costs what it changes and not what the
graph has. Its base is never touched: a draft with faults is thrown away. Whether the result makes sense as a graph
(types, ports, circles) is judged by `validate`. Pure, from any thread. Called by `recompile`.

An edit is a map with one of these shapes; edits are applied in order, and only the graph after the last one has to
be sound:

    {"set": id, "data": {port: value}}   merges keys into a node's data; null takes the key out
    {"put": node}                        adds a node, or replaces the one of its id, which keeps its edges
    {"remove": id}                       a node, with its edges
    {"connect": edge}                    adds an edge, behind those that are there
    {"disconnect": edge}                 removes an edge
    {"settings": {name: value}}          merges keys into the settings; null takes the key out
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.node import ERROR_PORT
from graphport.graph.model import Edge, Fault, Graph, Node
from graphport.graph.port_types import shown
from graphport.graph.read import Reading, read_edges, read_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graphport.graph.compile import CompiledGraph

# Source, source port, target, target port.
EdgeKey = tuple[str, str, str, str]

_SHAPES: Final = {
    "set": {"set", "data"},
    "put": {"put"},
    "remove": {"remove"},
    "connect": {"connect"},
    "disconnect": {"disconnect"},
    "settings": {"settings"},
}


class Draft:
    """A graph with edits applied.

    Attributes:
        base: the graph that is edited.
        reading: collects faults, and what could not be read.
        removed: ids of nodes of the base that were removed, also of those whose id was put again.
        put: ids of nodes that were put, and are there.
        settings_set: names of settings that were given.
    """

    def __init__(self, base: CompiledGraph) -> None:
        self.base = base
        self.reading = Reading()
        self.removed: set[str] = set()
        self.put: set[str] = set()
        self.settings_set: set[str] = set()
        self._settings: dict[str, Any] = base.source.settings
        # Nodes that were put, in order, and data that was set, as they are now.
        self._nodes: dict[str, Node] = {}
        self._data: dict[str, dict[str, Any]] = {}
        # How often a node went, and its edges with it. An edge counts while its ends have gone no more often.
        self._gone: dict[str, int] = {}
        self._dropped: set[EdgeKey] = set()
        self._added: list[tuple[Edge, int, int] | None] = []
        self._added_as: dict[EdgeKey, list[int]] = {}
        self._joined: dict[str, set[tuple[str, str, str]]] = {}

    # Applying

    def apply(self, edits: Sequence[Any]) -> None:
        """Apply edits in order. What cannot be applied becomes a fault, and is left out."""
        verbs = [self._verb(number, edit) for number, edit in enumerate(edits, 1)]
        puts = [index for index, verb in enumerate(verbs) if verb == "put"]
        wires = [index for index, verb in enumerate(verbs) if verb in ("connect", "disconnect")]
        items: dict[int, Any] = {}
        nodes, wrong = read_nodes([edits[index]["put"] for index in puts])
        items |= zip(puts, nodes, strict=True)
        for place, problem in wrong:
            self._broken_node(puts[place], edits[puts[place]]["put"], problem)
        edges, wrong = read_edges([edits[index][verbs[index]] for index in wires])
        items |= zip(wires, edges, strict=True)
        for place, problem in wrong:
            self._fault(wires[place] + 1, f"the edge {problem}")
            self.reading.broken_edges = True
        appliers: dict[str, Callable[[int, Any], None]] = {
            "set": self._set,
            "put": self._put,
            "remove": self._remove,
            "connect": self._connect,
            "disconnect": self._disconnect,
            "settings": self._set_settings,
        }
        for index, verb in enumerate(verbs):
            item = items[index] if index in items else edits[index]
            if verb is not None and item is not None:
                appliers[verb](index + 1, item)

    def _fault(self, number: int, text: str, code: str = "bad_message", node: str | None = None) -> None:
        self.reading.faults.append(Fault(code, f"Edit number {number}: {text}.", node))

    def _verb(self, number: int, edit: Any) -> str | None:
        if not isinstance(edit, dict):
            self._fault(number, f"an edit is a map, got {shown(edit)}")
            return None
        found = [verb for verb in _SHAPES if verb in edit]
        if len(found) != 1:
            which = f"not {' and '.join(found)} at once" if found else f"got {shown(edit)}"
            self._fault(number, f"an edit has one of the keys {', '.join(_SHAPES)}, {which}")
            return None
        verb = found[0]
        if edit.keys() != _SHAPES[verb]:
            keys = " and ".join(sorted(_SHAPES[verb], key=lambda key: key == "data"))
            self._fault(number, f"`{verb}` takes the keys {keys}, got {shown(list(edit))}")
            return None
        return verb

    def _broken_node(self, index: int, item: Any, problem: str) -> None:
        node_id = item.get("id") if isinstance(item, dict) else None
        if isinstance(node_id, str) and node_id:
            self._fault(index + 1, f"node {node_id!r} {problem}", node=node_id)
            self.reading.broken_nodes.add(node_id)
        else:
            self._fault(index + 1, f"the node {problem}")
            self.reading.nameless_nodes = True

    def has(self, node_id: str) -> bool:
        """Whether there is a node of that id."""
        return node_id in self._nodes or (node_id in self.base.index and node_id not in self.removed)

    def _known(self, number: int, node_id: Any) -> bool:
        if not isinstance(node_id, str):
            self._fault(number, f"a node's id is a text, got {shown(node_id)}")
        elif self.has(node_id):
            return True
        elif node_id not in self.reading.broken_nodes and not self.reading.nameless_nodes:
            self._fault(number, f"there is no node {node_id[:1_000]!r}", "unknown_node", node_id)
        return False

    def _set(self, number: int, edit: dict[str, Any]) -> None:
        node_id, given = edit["set"], edit["data"]
        if not self._known(number, node_id):
            return
        if not _has_texts_as_keys(given):
            self._fault(number, f"`data` is a map with texts as keys, got {shown(given)}", node=node_id)
            return
        data = self._data.get(node_id)
        if data is None:
            data = self._data[node_id] = self.node(node_id).data.copy()
        _merge(data, given)

    def _put(self, number: int, node: Node) -> None:
        self._data.pop(node.id, None)
        self._nodes[node.id] = node
        self.put.add(node.id)

    def _remove(self, number: int, edit: dict[str, Any]) -> None:
        node_id = edit["remove"]
        if not self._known(number, node_id):
            return
        if node_id in self.base.index:
            self.removed.add(node_id)
        self._nodes.pop(node_id, None)
        self._data.pop(node_id, None)
        self.put.discard(node_id)
        self._gone[node_id] = self._gone.get(node_id, 0) + 1

    def _connect(self, number: int, edge: Edge) -> None:
        self._added_as.setdefault(_key(edge), []).append(len(self._added))
        self._added.append((edge, self._gone.get(edge.source, 0), self._gone.get(edge.target, 0)))

    def _disconnect(self, number: int, edge: Edge) -> None:
        key = _key(edge)
        found = any(self._is_there(self._added[place]) for place in self._added_as.get(key, ()))
        for place in self._added_as.pop(key, ()):
            self._added[place] = None
        if self._is_in_base(key):
            self._dropped.add(key)
        elif not found:
            source, out, target, into = key
            text = f"there is no edge {source}.{out} → {target}.{into}"
            self._fault(number, text, "unknown_edge", target if self.has(target) else None)

    def _is_there(self, added: tuple[Edge, int, int] | None) -> bool:
        if added is None:
            return False
        edge, source_gone, target_gone = added
        return source_gone == self._gone.get(edge.source, 0) and target_gone == self._gone.get(edge.target, 0)

    def _is_in_base(self, key: EdgeKey) -> bool:
        source, out, target, into = key
        if key in self._dropped or source in self._gone or target in self._gone:
            return False
        joined = self._joined.get(target)
        if joined is None:
            joined = self._joined[target] = set(self._base_edges(target))
        return (source, out, into) in joined

    def _base_edges(self, target: str) -> Iterable[tuple[str, str, str]]:
        place = self.base.index.get(target)
        nodes = self.base.nodes
        return () if place is None else [(nodes[source].id, out, into) for source, out, into, _ in nodes[place].edges]

    def _set_settings(self, number: int, edit: dict[str, Any]) -> None:
        given = edit["settings"]
        if not _has_texts_as_keys(given):
            self._fault(number, f"`settings` is a map with texts as keys, got {shown(given)}")
            return
        if not self.settings_set:
            self._settings = self._settings.copy()
        _merge(self._settings, given)
        self.settings_set.update(given)

    # What comes of it

    @property
    def settings(self) -> dict[str, Any]:
        """As they are now."""
        return self._settings

    def size(self) -> tuple[int, int]:
        """Numbers of nodes and edges; of edges no more than these."""
        base = self.base.source
        return len(base.nodes) - len(self.removed) + len(self.appended), len(base.edges) + len(self._added_edges())

    @property
    def edited(self) -> set[str]:
        """Ids of the nodes that are there whose own content was given."""
        return self.put | self._data.keys()

    def node(self, node_id: str) -> Node:
        """A node that is there, as it is now."""
        node = self._nodes.get(node_id)
        if node is None:
            node = self.base.source.nodes[self.base.index[node_id]]
        data = self._data.get(node_id)
        return node if data is None else node.model_copy(update={"data": data})

    @property
    def appended(self) -> list[str]:
        """Ids of the nodes that stand behind those of the base, in order."""
        return [node_id for node_id in self._nodes if node_id not in self.base.index or node_id in self.removed]

    def rewired(self) -> set[str]:
        """Ids of the nodes that are there and to which other edges lead than in the base, or which are there anew."""
        found = {key[2] for key in self._dropped}
        found.update(added[0].target for added in self._added if self._is_there(added))  # type: ignore[index]
        consumers = self.base.consumers() if self.removed else []
        for node_id in self.removed:
            found.update(self.base.nodes[place].id for place in consumers[self.base.index[node_id]])
            found.add(node_id)
        return {node_id for node_id in found if self.has(node_id)}

    def rerouted(self) -> set[str]:
        """Ids of the nodes that are there and may have got an edge from their error port, or lost one."""
        found = {key[0] for key in self._dropped if key[1] == ERROR_PORT}
        found.update(edge.source for edge in self._added_edges() if edge.source_handle == ERROR_PORT)
        for node_id in self.removed:
            found.update(source for source, out, _ in self._base_edges(node_id) if out == ERROR_PORT)
        return {node_id for node_id in found if self.has(node_id)}

    def incoming(self) -> Callable[[str], list[tuple[str, str, str]]]:
        """What gives, for a node that is there, its edges in order: source, source port, and port."""
        added: dict[str, list[tuple[str, str, str]]] = {}
        for edge in self._added_edges():
            added.setdefault(edge.target, []).append((edge.source, edge.source_handle, edge.target_handle))

        def of(target: str) -> list[tuple[str, str, str]]:
            kept: list[tuple[str, str, str]] = []
            if target not in self._gone:
                for source, out, into in self._base_edges(target):
                    if source not in self._gone and (source, out, target, into) not in self._dropped:
                        kept.append((source, out, into))
            return kept + added.get(target, [])

        return of

    def _added_edges(self) -> list[Edge]:
        return [added[0] for added in self._added if self._is_there(added)]  # type: ignore[index]

    @property
    def targets_of_added(self) -> set[str]:
        """Ids of the nodes to which edges were added."""
        return {edge.target for edge in self._added_edges()}

    def graph(self) -> Graph:
        """The whole graph as it is now."""
        base = self.base.source
        nodes = list(base.nodes)
        for node_id in self.edited:
            if node_id in self.base.index and node_id not in self.removed:
                nodes[self.base.index[node_id]] = self.node(node_id)
        if self.removed:
            nodes = [node for node in nodes if node.id not in self.removed]
        nodes += [self.node(node_id) for node_id in self.appended]
        edges = base.edges
        if self._dropped or self.removed:
            edges = tuple([edge for edge in edges if self._stays(edge)])
        added = self._added_edges()
        extra = base.model_extra or {}
        return Graph.model_construct(
            nodes=tuple(nodes), edges=edges + tuple(added) if added else edges, settings=self._settings, **extra
        )

    def _stays(self, edge: Edge) -> bool:
        return not (edge.source in self._gone or edge.target in self._gone or _key(edge) in self._dropped)


def _key(edge: Edge) -> EdgeKey:
    return edge.source, edge.source_handle, edge.target, edge.target_handle


def _has_texts_as_keys(given: Any) -> bool:
    return isinstance(given, dict) and all(isinstance(key, str) for key in given)


def _merge(into: dict[str, Any], given: dict[str, Any]) -> None:
    for name, value in given.items():
        if value is None:
            into.pop(name, None)
        else:
            into[name] = value
