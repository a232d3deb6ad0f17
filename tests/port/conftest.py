"""A started engine with a module of misbehaving nodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.port_client import PortClient

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent


@pytest.fixture
def engine() -> Iterator[PortClient]:
    """An engine that has been greeted."""
    with PortClient("--nodes", "unruly_nodes", folder=FOLDER) as client:
        client.hello()
        yield client
