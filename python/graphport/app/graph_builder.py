"""The builder that knows core and user node types and can run what it has built, in this process.

What `from graphport import GraphBuilder` gives. Building is all in `graph.builder`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from graphport.app.engine import Composition, load_catalogue
from graphport.core.errors import LookupFailed
from graphport.graph.authoring import node_type_of
from graphport.graph.builder import Builder
from graphport.graph.draw import Timing, note_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from graphport.app.local_run import Chunk, Progress
    from graphport.graph.catalogue import Catalogue


class GraphBuilder(Builder):
    """Builds a graph in chained calls, and runs it.

        builder = GraphBuilder().text_input(text="Why is the sky blue?").text_output()
        builder.run()          # {"text": "Why is the sky blue?"}
        builder.to_python()    # a program that builds the same graph

    Args:
        nodes: modules with node types, by name, or functions with the decorator `node`.
        auto_connect: connect each new node to the one before it.

    Raises:
        LookupFailed: `invalid_nodes` if a module cannot be imported or declares no node, `duplicate_id` if two types
            share a name.
    """

    def __init__(self, nodes: Iterable[str | Callable[..., Any]] = (), *, auto_connect: bool = True) -> None:
        nodes = list(nodes)
        catalogue = load_catalogue([one for one in nodes if isinstance(one, str)])
        for one in nodes:
            if not isinstance(one, str):
                catalogue.register(node_type_of(one))
        modules = dict.fromkeys(one if isinstance(one, str) else one.__module__ for one in nodes)
        self._begin(catalogue, tuple(modules), auto_connect=auto_connect)

    @classmethod
    def of(cls, catalogue: Catalogue, node_modules: Sequence[str] = ()) -> Self:
        """A builder of node types that are loaded already, and the modules they came from."""
        builder = cls.__new__(cls)
        builder._begin(catalogue, node_modules, auto_connect=True)
        return builder

    def _begin(self, catalogue: Catalogue, node_modules: Sequence[str], *, auto_connect: bool) -> None:
        super().__init__(catalogue, auto_connect=auto_connect, node_modules=node_modules)
        self._timings: dict[str, Timing] = {}
        self._heard: Exception | None = None

    @property
    def timings(self) -> dict[str, Timing]:
        """Node id → what the last run made of it, for `to_mermaid` and `to_dot`."""
        return self._timings

    def run(
        self,
        node: str | None = None,
        inputs: Mapping[str, dict[str, Any]] | None = None,
        *,
        timeout_s: float | None = None,
        fresh: bool = False,
    ) -> dict[str, Any]:
        """Demand a node in this process and wait for its outputs. Not where an event loop runs already.

        Those who listen are told `start`, `node`, `chunk`, and `complete` or `error`.

        Args:
            node: the node wanted; without one the only one that no edge leaves.
            inputs: node → input → value, for this run.
            timeout_s: seconds after which to give up; without one never.
            fresh: draw other seeds than in every run.

        Raises:
            GraphInvalid: the graph has faults.
            LookupFailed: `unknown_node`.
            GraphportError: what became of the run instead of outputs.
        """
        from graphport.app.local_run import LocalDemand, LocalGraph, run_demand

        local = LocalGraph(self.to_json(), self._catalogue)
        asked = LocalDemand(
            node=self._wanted(node, local.sinks),
            inputs=inputs or {},
            deadline_ms=None if timeout_s is None else max(1, round(timeout_s * 1000)),
            fresh=fresh,
        )
        self._timings, self._heard = {}, None
        self._tell("start", asked.node)
        composition = Composition((), self._catalogue)
        ending = run_demand(composition, local, asked, self._show, self._watch)
        if self._heard is not None:
            raise self._heard
        if ending.error is not None:
            self._tell("error", asked.node, ending.error)
            raise ending.error
        outputs = ending.outputs or {}
        self._tell("complete", asked.node, outputs)
        return outputs

    def _wanted(self, node: str | None, sinks: Iterable[str]) -> str:
        if node is not None:
            return self._node_at(node).id
        ends = list(sinks)
        if len(ends) == 1:
            return ends[0]
        said = f"The graph ends in {len(ends)} nodes; say which one." if ends else "The builder has no node to run."
        raise LookupFailed(f"{said} {', '.join(ends[:20])}".strip())

    def _show(self, event: Chunk | Progress) -> None:
        from graphport.app.local_run import Chunk

        if isinstance(event, Chunk):
            self._told("chunk", event.node, (event.port, event.value))

    def _watch(self, node: str, event: dict[str, Any]) -> None:
        note_event(self._timings, node, event)
        self._told("node", node or None, event)

    def _told(self, kind: str, node: str | None, value: Any) -> None:
        try:
            self._tell(kind, node, value)
        except Exception as error:  # the listener's border: it must not tear the evaluator apart
            self._heard = self._heard or error
