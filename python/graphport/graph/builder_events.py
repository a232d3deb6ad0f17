"""What a builder tells those who listen: changes of its graph, and how a run of it goes. Called by the builder."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Listener = Callable[["BuilderEvent"], object]

KINDS: Final = ("changed", "reset", "start", "node", "chunk", "complete", "error")


@dataclass(frozen=True, slots=True)
class BuilderEvent:
    """Something that happened.

    Attributes:
        kind: `changed`: nodes, edges or settings are others than before; `reset`: the graph is empty again;
            `start`: a run begins; `node`: something happens to a node; `chunk`: a node streams; `complete`: the run is
            done; `error`: it failed.
        node: the node that was added, removed or demanded, or that it happens to; None where it is not one node.
        value: of `node` a map with `event` and what goes with it, as `node_event` on the wire; of `chunk` the pair
            `(port, chunk)`; of `complete` the outputs; of `error` the `GraphportError`; else None.
    """

    kind: str
    node: str | None = None
    value: Any = None


class Listeners:
    """Callbacks by kind of event, called in the order in which they came."""

    def __init__(self) -> None:
        self._of: dict[str, list[Listener]] = {kind: [] for kind in KINDS}

    def add(self, kind: str, listener: Listener) -> None:
        """Have a callback called.

        Raises:
            ValueError: there is no such kind of event.
        """
        self._of_kind(kind).append(listener)

    def remove(self, kind: str, listener: Listener) -> None:
        """Call it no more; one that was not there is no mistake."""
        listeners = self._of_kind(kind)
        if listener in listeners:
            listeners.remove(listener)

    def tell(self, event: BuilderEvent) -> None:
        """Call them. What one of them raises is the caller's to deal with."""
        for listener in tuple(self._of[event.kind]):
            listener(event)

    def _of_kind(self, kind: str) -> list[Listener]:
        found = self._of.get(kind)
        if found is None:
            near = get_close_matches(kind, KINDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"There are no events {kind!r}. There are {', '.join(KINDS)}.{hint}")
        return found
