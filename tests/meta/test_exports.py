"""The public names, pinned: what is added or taken away shows here and belongs into the changelog."""

from __future__ import annotations

import importlib

import pytest

EXPORTS = {
    "graphport": [
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
    ],
    "graphport.nodes": ["CORE_NODES"],
    "graphport.testing": ["RecordingContext", "RecordingThreadContext"],
}


@pytest.mark.parametrize("module", EXPORTS)
def test_a_module_exports(module: str) -> None:
    loaded = importlib.import_module(module)

    assert sorted(loaded.__all__) == EXPORTS[module]
    for name in EXPORTS[module]:
        assert getattr(loaded, name) is not None


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    graphport = importlib.import_module("graphport")

    with pytest.raises(AttributeError, match="has no attribute 'nodes_of_mine'"):
        _ = graphport.nodes_of_mine
