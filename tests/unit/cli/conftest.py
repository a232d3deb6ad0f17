"""A folder with a graph or two and a module of nodes, in which commands are run."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from graphport.cli.commands import app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typer.testing import Result

NODES = """
import asyncio, os, sys, time
from graphport import RunContext, node

print("said while imported")

@node(effect="volatile")
def shout(text: str, seconds: float = 0.0) -> str:
    print("said while run")
    time.sleep(seconds)
    return text.upper()

@node(effect="volatile", outputs={"text": str, "length": int})
def measure(text: str) -> dict:
    return {"text": text, "length": len(text)}

@node(effect="volatile", outputs={"value": int})
async def swallow() -> int:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

@node
def fail(text: str) -> str:
    raise ValueError("no good: " + text)

@node(outputs={"text": str}, stream=True)
async def spell(text: str, ctx: RunContext, ending: str = "") -> dict[str, str]:
    for letter in text:
        await ctx.stream("text", letter)
    return {"text": text + ending}

@node(effect="volatile")
def draw(seed: int = 0) -> bytes:
    return b"drawn"
"""


def edge(source: str, target: str) -> dict[str, str]:
    """An edge from `a.port` to `b.port`."""
    (a, out), (b, into) = source.split("."), target.split(".")
    return {"source": a, "source_handle": out, "target": b, "target_handle": into}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with the module `cli_nodes`."""
    (tmp_path / "cli_nodes.py").write_text(NODES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    # Each test imports it anew, from its own folder.
    yield tmp_path
    sys.modules.pop("cli_nodes", None)


@pytest.fixture
def write(folder: Path) -> Callable[..., str]:
    """Writes a graph of nodes `id: (type, data)` and edges `(a.port, b.port)`; returns the file's name."""

    def written(nodes: dict[str, Any], *edges: tuple[str, str], name: str = "graph.json", **rest: Any) -> str:
        graph = {
            "nodes": [{"id": key, "type": kind, "data": data} for key, (kind, data) in nodes.items()],
            "edges": [edge(*ends) for ends in edges],
            **rest,
        }
        (folder / name).write_text(json.dumps(graph, indent=1))
        return name

    return written


@pytest.fixture
def call(folder: Path) -> Callable[..., Result]:
    """Runs a command in this process."""

    def called(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin, catch_exceptions=False)

    return called
