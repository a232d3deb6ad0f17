"""A short run of `scripts/soak`: real engines, everything at once, killed at random, an exact ledger."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest

SOAK: Final = Path(__file__).parents[2] / "scripts" / "soak"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_short_soak_leaves_nothing_behind() -> None:
    done = subprocess.run([SOAK, "6"], capture_output=True, text=True, check=False, timeout=280)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "soak: all is well" in done.stdout
