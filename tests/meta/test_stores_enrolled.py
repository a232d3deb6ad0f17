"""Every store is in the suite that all of them run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.conformance.store.enrolled import STORES

FOLDER: Final = Path(__file__).parents[2] / "python" / "graphport" / "stores"


def test_every_store_is_enrolled() -> None:
    stores = {path.name for path in FOLDER.glob("*.py") if re.search(r"^class \w+Store\b", path.read_text(), re.M)}

    assert {one.file for one in STORES} == stores
    assert len(stores) >= 3
