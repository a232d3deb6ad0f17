"""A loaded graph in one engine: the compiled graph, and the generation its seeds are drawn for.

Called by `evaluator`, which owns all sessions.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from graphport.demand.questions.history import History
from graphport.graph.digest import xxh3

if TYPE_CHECKING:
    from graphport.demand.run import Run
    from graphport.demand.watch import Watch
    from graphport.graph.compile import CompiledGraph
    from graphport.graph.plan import Plan


class Session:
    """One loaded graph.

    Attributes:
        id: the number the BEAM gave it.
        graph: the graph at its present revision.
        generation: how often seeds were drawn anew.
        history: what its last runs were made of.
        answers: what people have answered: node id to port to value.
        ready: runs of this session that can go on.
        runs: open runs by demand.
        watches: open watches by demand.
        queued: whether the evaluator's ring holds this session.
    """

    __slots__ = (
        "_generations",
        "answers",
        "generation",
        "graph",
        "history",
        "id",
        "queued",
        "ready",
        "runs",
        "watches",
    )

    def __init__(self, session_id: int, graph: CompiledGraph) -> None:
        self.id = session_id
        self.graph = graph
        self.generation = 0
        self.history = History()
        self.answers: dict[str, dict[str, Any]] = {}
        self._generations: dict[str, int] = {}
        self.ready: deque[Run] = deque()
        self.runs: dict[int, Run] = {}
        self.watches: dict[int, Watch] = {}
        self.queued = False

    def seed(self, node_id: str, *, ahead: bool = False) -> int:
        """The seed, 31 bits, of a `seeded` node that was given none; the same until `draw_seeds`.

        Args:
            node_id: the node.
            ahead: the one that it will have after the next `draw_seeds`.
        """
        text = f"{self.id}\0{node_id}\0{self._generations.get(node_id, 0) + ahead}"
        return int.from_bytes(xxh3(text.encode())[:4], "big") & 0x7FFFFFFF

    def draw_seeds(self, plan: Plan) -> None:
        """New seeds for the nodes of a plan."""
        for place in plan.seeded:
            node_id = plan.nodes[place].id
            self._generations[node_id] = self._generations.get(node_id, 0) + 1
        self.generation += 1
