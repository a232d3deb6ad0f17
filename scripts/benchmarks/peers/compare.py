"""Measures each variant of each engine, one process after the other, and prints rows for `table.py`.

    python -m scripts.benchmarks.peers.compare PYTHON_OF_THE_PEERS FIGURES_FILE

What was measured goes into the figures file too, for `picture`. An engine that is not installed, or that fails, has a
row that says so. Called by `scripts/bench`, in Graphport's own environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from scripts.benchmarks.peers.measure import LONG
from scripts.benchmarks.peers.on_python import BARE
from scripts.benchmarks.peers.roster import ENGINES, OURS, variants
from scripts.benchmarks.shapes import SHAPES

_ROOT: Final = Path(__file__).parents[3]
_TIME_LIMIT_S: Final = 120
_IMPORTS: Final = {"on_dask": "dask", "on_hamilton": "hamilton", "on_pipefunc": "pipefunc", "on_langgraph": "langgraph"}
_WITH_ASYNC: Final = (OURS, "on_langgraph")

# What was found: variant to shape to figures.
Found = dict[str, dict[str, dict[str, Any]]]


class Environments:
    """The Pythons that engines run in, and whether an engine is there."""

    def __init__(self, peers: str) -> None:
        self._peers = peers

    def python(self, engine: str) -> str | None:
        """None if the engine is not installed."""
        wanted = _IMPORTS.get(engine)
        if wanted is None:
            return sys.executable
        if not Path(self._peers).exists():
            return None
        looked = subprocess.run([self._peers, "-c", f"import {wanted}"], capture_output=True, check=False)
        return self._peers if looked.returncode == 0 else None

    def ask(self, engine: str, module: str, *arguments: str) -> dict[str, Any]:
        """What a module found, run in a process of its own; `{"problem": …}` if it found nothing."""
        python = self.python(engine)
        if python is None:
            return {"problem": "not installed"}
        command = [python, "-m", f"scripts.benchmarks.peers.{module}", *arguments]
        # Neither may ask anybody anything over the network.
        quiet = os.environ | {"HAMILTON_TELEMETRY_ENABLED": "false", "LANGSMITH_TRACING": "false"}
        try:
            ran = subprocess.run(
                command, cwd=_ROOT, env=quiet, capture_output=True, text=True, check=True, timeout=_TIME_LIMIT_S
            )
        except subprocess.TimeoutExpired:
            return {"problem": f"> {_TIME_LIMIT_S} s"}
        except subprocess.CalledProcessError as failed:
            print(failed.stderr[-2_000:], file=sys.stderr)
            return {"problem": "failed"}
        found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
        return found


def measure_all(environments: Environments) -> Found:
    found: Found = {}
    for engine in ENGINES:
        for variant in variants(engine):
            print(f"    {variant.name}", file=sys.stderr, flush=True)
            titles = [*SHAPES, LONG] if variant.long_chain else [*SHAPES]
            found[variant.name] = {
                title: environments.ask(engine, "measure", engine, variant.name, title) for title in titles
            }
    return found


def notes(found: Found) -> list[str]:
    """A line for each variant: which version, and what it does for each node."""
    lines = []
    for engine in ENGINES:
        for variant in variants(engine):
            version = next(iter(found[variant.name].values())).get("version", "not installed")
            lines.append(f"# {variant.name} ({version}): {variant.does}")
    return lines


def rows(found: Found) -> list[str]:
    """The rows of times, shape by shape, then those of memory."""
    lines = []
    for title in [*SHAPES, LONG]:
        for name, shapes in found.items():
            if title in shapes and name != BARE:
                lines += _times(f"{title}: {name}", shapes[title])
    for name, shapes in found.items():
        lines.append(_memory(f"made by a run: {name}", "made_mib", shapes, found[BARE]))
        lines.append(_memory(f"held at most: {name}", "peak_mib", shapes, found[BARE]))
    return lines


def _times(figure: str, one: dict[str, Any]) -> list[str]:
    if "problem" in one:
        return [f"{figure}\t{one['problem']}"]
    return [
        f"{figure}{', warm' if way == 'warm' else ''}\t{one[f'{way}_us']:.2f} us/node"
        f"\t{one['bare_us']:.2f} us/node\t{one[f'{way}_ratio']:.2f}x"
        for way in ("cold", "warm")
        if f"{way}_us" in one
    ]


def most(figure: str, shapes: dict[str, dict[str, Any]]) -> float | None:
    """The largest of a figure over the shapes of about 1,000 nodes; None if there is none."""
    return max((shapes[title][figure] for title in SHAPES if figure in shapes[title]), default=None)


def _memory(label: str, figure: str, shapes: dict[str, dict[str, Any]], bare: dict[str, dict[str, Any]]) -> str:
    ours, others = most(figure, shapes), most(figure, bare)
    if ours is None or others is None:
        return f"{label}\t{next(iter(shapes.values())).get('problem', 'not traced')}"
    return f"{label}\t{ours:.1f} MiB\t{others:.1f} MiB\t{ours / others:.1f}x"


def siblings(environments: Environments) -> list[str]:
    """When a node ran whose source took 0.1 s, while another node took 1 s."""
    lines = []
    for engine in _WITH_ASYNC:
        name = variants(engine)[0].name
        one = environments.ask(engine, "sibling", engine)
        told = one.get("problem") or f"{one['after_fast_s'] * 1e3:.0f} ms\t100 ms\t{one['after_fast_s'] / 0.1:.2f}x"
        lines.append(f"beside a node of 1 s: {name}\t{told}")
    return lines


def main(peers: str, figures: str) -> None:
    environments = Environments(peers)
    found = measure_all(environments)
    Path(figures).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("\n".join([*rows(found), *siblings(environments), *notes(found)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
