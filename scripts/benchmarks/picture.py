"""Draws what each engine costs as bars, in times of the bare loop, as an SVG that is the same for the same figures.

    python -m scripts.benchmarks.picture FIGURES_FILE SVG_FILE

Greys and colours are such that they can be read on white and on black. Called by `scripts/bench evaluator --picture`,
in the environment that has matplotlib.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scripts.benchmarks.peers.roster import ENGINES, OURS, variants
from scripts.benchmarks.readme_figures import shown
from scripts.benchmarks.shapes import SHAPES

if TYPE_CHECKING:
    from scripts.benchmarks.peers.compare import Found

_GREY: Final = "#808890"
_OURS: Final = ("#1f9d55", "#35b36b", "#57c785")
_OTHERS: Final = ("#5b7fb8", "#7495c9", "#90acd9")
_BAR: Final = 0.26
_LEAST: Final = 0.003
_SETTINGS: Final = {
    "svg.hashsalt": "graphport",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _GREY),
}


def bars(found: Found) -> list[tuple[str, bool, list[float | None]]]:
    """Per row of the picture its label, whether it is ours, and a ratio for each shape."""
    rows: list[tuple[str, bool, list[float | None]]] = []
    for engine in ENGINES:
        for variant in variants(engine):
            if not variant.in_picture:
                continue
            for way, label in (("cold", variant.name), ("warm", f"{variant.name}, warm")):
                ratios = [found[variant.name][title].get(f"{way}_ratio") for title in SHAPES]
                if any(ratio is not None for ratio in ratios):
                    rows.append((label, engine == OURS, ratios))
    return rows


def draw(found: Found, path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    rows = bars(found)
    with plt.rc_context(_SETTINGS):
        figure, axes = plt.subplots(figsize=(9, 0.6 + 0.5 * len(rows)), layout="constrained")
        for place, (_, ours, ratios) in enumerate(rows):
            _draw_row(axes, place, _OURS if ours else _OTHERS, ratios)
        axes.set_xscale("log")
        axes.set_xlim(left=_LEAST)
        axes.axvline(1, color=_GREY, linewidth=1)
        axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel(f"time per node, bare loop = 1 (log scale)\nfrom above: {', '.join(SHAPES)}")
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})


def _draw_row(axes: Any, place: int, colours: tuple[str, ...], ratios: list[float | None]) -> None:
    for number, (colour, ratio) in enumerate(zip(colours, ratios, strict=True)):
        if ratio is not None:
            height = place + (number - 1) * _BAR
            axes.barh(height, ratio, height=_BAR, color=colour)
            axes.text(max(ratio, _LEAST) * 1.06, height, shown(ratio), va="center", fontsize=7)


def main(figures: str, svg: str) -> None:
    found: Found = json.loads(Path(figures).read_text(encoding="utf-8"))
    draw(found, Path(svg))


if __name__ == "__main__":
    main(*sys.argv[1:])
