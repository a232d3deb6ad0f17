"""A node that has something to do when it is stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

from graphport import node


def note(path: str, text: str) -> None:
    Path(path).write_text(text)


@node(effect="volatile")
async def tidy(path: str) -> str:
    note(path, "started")
    try:
        await asyncio.sleep(1_000)
    finally:
        note(path, "tidied")
    return path
