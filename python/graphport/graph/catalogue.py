"""The node types that an engine knows, by name: core types, loaded at first use, and the user's own.

Must not import node modules: core types arrive as loaders, user types from whoever loads the user's modules.
Asked by `validate` and by the evaluator.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import LookupFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from graphport.contracts.node import NodeType

# The model gateway, which every engine has.
_INFERENCE: Final = "inference"


class Catalogue:
    """Name → node type. Iterating gives the node types in the order of their names.

    Attributes:
        services: name to factory of the services that nodes find beside `inference`; None if nobody has said which
            there are, and graphs are not held to it.
    """

    def __init__(self, core: Mapping[str, Callable[[], NodeType]] | None = None) -> None:
        self._loaders = dict(core or {})
        self._loaded: dict[str, NodeType] = {}
        self._user: dict[str, NodeType] = {}
        self.services: dict[str, Callable[[], Any]] | None = None

    def add_service(self, name: str, factory: Callable[[], Any]) -> None:
        """Add a user's service. The same object twice is fine.

        Raises:
            LookupFailed: `duplicate_id` if the name is taken.
        """
        self.services = {} if self.services is None else self.services
        if name == _INFERENCE or self.services.get(name, factory) is not factory:
            raise LookupFailed(f"Two services are called {name!r}. Give one of them another name.", code="duplicate_id")
        self.services[name] = factory

    def missing_service(self, node_type: NodeType) -> str | None:
        """The first service that a type asks for and that there is not, or None."""
        if self.services is None:
            return None
        return next(
            (name for name in node_type.spec.services if name != _INFERENCE and name not in self.services), None
        )

    def register(self, node_type: NodeType, *, shadow: bool = False) -> None:
        """Add a user's node type. The same object twice is fine.

        Args:
            node_type: the type to add.
            shadow: let it take the place of a core type or of another user type of its name.

        Raises:
            LookupFailed: `duplicate_id` if the name is taken.
        """
        name = node_type.spec.type
        if not shadow:
            other = self._user.get(name)
            if other is not None and other is not node_type:
                raise LookupFailed(
                    f"Two node types are called {name!r}: one in {_module(other)}, "
                    f"one in {_module(node_type)}. Give one of them another type=.",
                    code="duplicate_id",
                )
            if name in self._loaders:
                raise LookupFailed(
                    f"{_module(node_type)} declares the node type {name!r}, which is a core type. "
                    f"Give it another type=.",
                    code="duplicate_id",
                )
        self._user[name] = node_type

    def get(self, name: str) -> NodeType | None:
        """The node type of that name, or None. A user type that shadows a core type is found first."""
        found = self._user.get(name) or self._loaded.get(name)
        if found is None and name in self._loaders:
            found = self._loaded[name] = self._loaders[name]()
        return found

    def names(self) -> list[str]:
        """The names of all types, sorted. Loads nothing."""
        return sorted(self._loaders.keys() | self._user.keys())

    def nearest(self, name: str) -> str | None:
        """The known name that looks most like this one, if any does."""
        return next(iter(get_close_matches(name, self.names(), n=1)), None)

    def __contains__(self, name: object) -> bool:
        return name in self._user or name in self._loaders

    def __iter__(self) -> Iterator[NodeType]:
        for name in self.names():
            found = self.get(name)
            if found is not None:
                yield found

    def __len__(self) -> int:
        return len(self._loaders.keys() | self._user.keys())


def _module(node_type: NodeType) -> str:
    return getattr(node_type.handler, "__module__", None) or "an unknown module"


def ports_vary(node_type: NodeType | None) -> bool:
    """Whether nodes of a type have ports of their own, which its spec does not know."""
    return getattr(node_type, "shape", None) is not None
