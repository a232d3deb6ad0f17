"""Gives each test a gateway over each enrolled profile, and generated models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.conformance.backend.profiles import PROFILES, Enrolled

from graphport.inference.gateway import LocalGateway
from graphport.process.child import LocalSpawner
from graphport.testing.gguf_models import write_successor_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(params=PROFILES, ids=lambda enrolled: str(enrolled.module))
def enrolled(request: pytest.FixtureRequest) -> Enrolled:
    one: Enrolled = request.param
    if not one.installed:
        pytest.skip(f"{one.needs} is not installed")
    return one


@pytest.fixture
async def gateway(enrolled: Enrolled) -> AsyncIterator[LocalGateway]:
    gateway = LocalGateway(enrolled.make(), LocalSpawner(), start_deadline_seconds=30)
    yield gateway
    await gateway.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `successor.gguf`, `endless.gguf` and `templated.gguf`."""
    folder = tmp_path_factory.mktemp("models")
    write_successor_model(folder / "successor.gguf", emoji=True)
    write_successor_model(folder / "endless.gguf", endless=True, context_length=131_072)
    reversing = "{% for message in messages | reverse %}{{ message['content'] }}{% endfor %}"
    write_successor_model(folder / "templated.gguf", chat_template=reversing)
    return folder
