"""The list of core nodes, name → loader, so that an engine imports just those that its graphs use.

The only place that imports node modules, and the only one besides `app` that imports by name. A test compares
the list with the files of this folder. Handed to `graph.catalogue.Catalogue` by `app`.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from graphport.core.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphport.contracts.node import NodeType

_NAMES: Final = (
    "audio-input",
    "audio-output",
    "boolean-input",
    "component-preview",
    "conditional",
    "expand-settings",
    "graph",
    "graph-input",
    "graph-output",
    "human-input",
    "image-input",
    "image-output",
    "json-filter",
    "linked-input",
    "llamacpp-inference",
    "loop",
    "map",
    "masked-text-input",
    "merge",
    "model-provider",
    "number-input",
    "point-cloud-output",
    "selection-input",
    "text-input",
    "text-output",
    "unload-model",
    "validator",
    "vector-input",
    "vector-output",
)


def _load(name: str) -> NodeType:
    node_type: NodeType = import_module(f"graphport.nodes.{name.replace('-', '_')}").NODE
    if node_type.spec.type != name:
        raise InternalError(f"The file of the core node {name!r} declares {node_type.spec.type!r}.")
    return node_type


CORE_NODES: Final[Mapping[str, Callable[[], NodeType]]] = MappingProxyType(
    {name: partial(_load, name) for name in _NAMES}
)
