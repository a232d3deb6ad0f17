"""Graphport: workflow graphs in Python, run for Elixir and Phoenix apps.

What the authors of nodes and graphs need is here; everything else is internal and may change.

    from graphport import node

    @node(outputs={"text": str})
    def shout(text: str) -> dict[str, str]:
        return {"text": text.upper()}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphport.app.graph_builder import GraphBuilder
    from graphport.contracts.cache_policy import CachePolicy
    from graphport.contracts.node import NodeSpec, PortSpec
    from graphport.contracts.run_context import RunContext, ThreadRunContext
    from graphport.core.errors import GraphportError
    from graphport.core.version import VERSION as __version__
    from graphport.graph.authoring import node
    from graphport.graph.services import service

__all__ = [
    "CachePolicy",
    "GraphBuilder",
    "GraphportError",
    "NodeSpec",
    "PortSpec",
    "RunContext",
    "ThreadRunContext",
    "__version__",
    "node",
    "service",
]

_HOMES = {
    "CachePolicy": "graphport.contracts.cache_policy",
    "GraphBuilder": "graphport.app.graph_builder",
    "GraphportError": "graphport.core.errors",
    "NodeSpec": "graphport.contracts.node",
    "PortSpec": "graphport.contracts.node",
    "RunContext": "graphport.contracts.run_context",
    "ThreadRunContext": "graphport.contracts.run_context",
    "__version__": "graphport.core.version",
    "node": "graphport.graph.authoring",
    "service": "graphport.graph.services",
}


def __getattr__(name: str) -> Any:
    # Lazily, so that an engine imports only what it runs.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'graphport' has no attribute {name!r}")
    import importlib

    module = importlib.import_module(home)
    return getattr(module, "VERSION" if name == "__version__" else name)


def __dir__() -> list[str]:
    return __all__
