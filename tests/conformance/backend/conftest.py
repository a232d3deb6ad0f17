"""Gives each test a gateway over each enrolled profile, and generated models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.conformance.backend.profiles import BACKENDS, Enrolled, ExternalServers, parameters_of

from graphport.contracts.inference import Capabilities
from graphport.inference.gateway import LocalGateway
from graphport.process.child import LocalSpawner
from graphport.testing.gguf_models import write_successor_model, write_wide_vocabulary_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from graphport.contracts.inference import WorkerProfile


@pytest.fixture(params=parameters_of(BACKENDS))
def enrolled(request: pytest.FixtureRequest) -> Enrolled:
    """Each backend."""
    one: Enrolled = request.param
    return one


@pytest.fixture
async def gateway(enrolled: Enrolled) -> AsyncIterator[LocalGateway | ExternalServers]:
    """A gateway over each backend."""
    if enrolled.profile is None:
        gateway: LocalGateway | ExternalServers = ExternalServers()
    else:
        gateway = LocalGateway(enrolled.profile(), LocalSpawner(), start_deadline_seconds=30)
    yield gateway
    await gateway.close()


@pytest.fixture
def can(enrolled: Enrolled) -> Capabilities:
    """What the backend says of itself."""
    return Capabilities() if enrolled.profile is None else enrolled.profile().capabilities


@pytest.fixture(params=parameters_of(one for one in BACKENDS if one.profile is not None))
def profile(request: pytest.FixtureRequest) -> WorkerProfile:
    """The profile of each backend whose workers are ours."""
    one: WorkerProfile = request.param.profile()
    return one


@pytest.fixture
async def workers(profile: WorkerProfile) -> AsyncIterator[LocalGateway]:
    """A gateway over each backend whose workers are ours."""
    gateway = LocalGateway(profile, LocalSpawner(), start_deadline_seconds=30)
    yield gateway
    await gateway.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `successor.gguf`, `endless.gguf`, `templated.gguf` and `random.gguf`."""
    folder = tmp_path_factory.mktemp("models")
    write_successor_model(folder / "successor.gguf", emoji=True)
    write_successor_model(folder / "endless.gguf", endless=True, context_length=131_072)
    write_wide_vocabulary_model(folder / "random.gguf", vocabulary=1024)
    reversing = "{% for message in messages | reverse %}{{ message['content'] }}{% endfor %}"
    write_successor_model(folder / "templated.gguf", chat_template=reversing)
    return folder
