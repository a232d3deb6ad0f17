"""Models and a gateway with real workers. Skipped as a whole where the backend has no wheel."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from graphport.inference.gateway import LocalGateway
from graphport.inference.profiles.xllamacpp import XllamacppProfile
from graphport.process.child import LocalSpawner
from graphport.testing.gguf_models import write_successor_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

needs_xllamacpp = pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp is not installed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip only what lies in this folder."""
    for item in items:
        if item.path.is_relative_to(__file__.rpartition("/")[0]):
            item.add_marker(needs_xllamacpp)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `successor.gguf` and `endless.gguf`."""
    folder = tmp_path_factory.mktemp("models")
    write_successor_model(folder / "successor.gguf", emoji=True)
    write_successor_model(folder / "endless.gguf", endless=True, context_length=131_072)
    return folder


@pytest.fixture
async def gateway() -> AsyncIterator[LocalGateway]:
    gateway = LocalGateway(XllamacppProfile(), LocalSpawner(), start_deadline_seconds=30)
    yield gateway
    await gateway.close()
