"""Writes picture and table of the engines into the README, between its marks. Called by `scripts/bench --picture`.

python -m scripts.benchmarks.readme_figures FIGURES_FILE README
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scripts.benchmarks.peers.compare import most
from scripts.benchmarks.peers.on_python import BARE
from scripts.benchmarks.shapes import SHAPES
from scripts.benchmarks.table import machine

if TYPE_CHECKING:
    from scripts.benchmarks.peers.compare import Found

BEGIN: Final = "<!-- figures of scripts/bench evaluator --picture: begin -->"
END: Final = "<!-- figures: end -->"
_PICTURE: Final = (
    "![Bars: time per node of Graphport and of other Python engines, in multiples of a bare loop]"
    "(scripts/benchmarks/evaluator.svg)"
)


def table(found: Found) -> str:
    """Times as ratios to the bare loop, cold and warm, and the memory that a run makes."""
    lines = ["| | " + " | ".join(SHAPES) + " | made by a run |", "|---" * (len(SHAPES) + 2) + "|"]
    for name, shapes in found.items():
        if name == BARE:
            continue
        cells = [_cell(shapes[title]) for title in SHAPES]
        made = most("made_mib", shapes)
        version = next(iter(shapes.values())).get("version", "")
        lines.append(f"| {name} {version} | {' | '.join(cells)} | {'-' if made is None else f'{made:.1f} MiB'} |")
    return "\n".join(lines)


def _cell(one: dict[str, Any]) -> str:
    if "problem" in one:
        return str(one["problem"])
    warm = one.get("warm_ratio")
    return shown(one["cold_ratio"]) + ("" if warm is None else f", warm {shown(warm)}")


def shown(ratio: float) -> str:
    """A ratio with about two digits that mean something."""
    return f"{ratio:.2f}x" if ratio < 1 else f"{ratio:.1f}x" if ratio < 10 else f"{ratio:.0f}x"


def placed(text: str, figures: str) -> str:
    """The text with what stands between the marks replaced.

    Raises:
        ValueError: there are no marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected the lines {BEGIN!r} and {END!r}")
    return f"{before}{begin}\n{figures}\n{end}{after}"


def main(figures: str, readme: str) -> None:
    found: Found = json.loads(Path(figures).read_text(encoding="utf-8"))
    path = Path(readme)
    shown_there = f"{_PICTURE}\n\n{table(found)}\n\nMeasured on {machine()}."
    path.write_text(placed(path.read_text(encoding="utf-8"), shown_there), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
