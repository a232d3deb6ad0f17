"""What was measured becomes rows of the table, and a table in the README."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripts.benchmarks import readme_figures
from scripts.benchmarks.peers.compare import Environments, notes, rows
from scripts.benchmarks.peers.roster import ENGINES, variants
from scripts.benchmarks.shapes import LONG_CHAIN, SHAPES

README = Path(__file__).parents[3] / "README.md"
MISSING: dict[str, Any] = {"problem": "not installed"}
FIGURES: dict[str, Any] = {
    "version": "9.9",
    "made_mib": 1.0,
    "peak_mib": 20.0,
    "bare_us": 2.0,
    "cold_us": 1.0,
    "cold_ratio": 0.5,
    "warm_us": 0.2,
    "warm_ratio": 0.1,
}


def found(*, dask: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        variant.name: dict.fromkeys([*SHAPES], dask if engine == "on_dask" else FIGURES)
        for engine in ENGINES
        for variant in variants(engine)
    }


def test_a_variant_has_a_row_for_each_shape_cold_and_warm() -> None:
    lines = rows(found(dask=FIGURES))

    assert "chain 1,000: Graphport\t1.00 us/node\t2.00 us/node\t0.50x" in lines
    assert "chain 1,000: Graphport, warm\t0.20 us/node\t2.00 us/node\t0.10x" in lines
    assert "held at most: Graphport\t20.0 MiB\t20.0 MiB\t1.0x" in lines
    assert sum(line.startswith("fan 1,000 + merge: LangGraph") for line in lines) == 6


def test_an_engine_that_is_not_installed_has_rows_that_say_so() -> None:
    lines = rows(found(dask=MISSING))

    assert "layered 50x20: Dask, threads\tnot installed" in lines
    assert "made by a run: Dask, threads\tnot installed" in lines
    assert "| Dask, threads  | not installed | not installed | not installed | - |" in readme_figures.table(
        found(dask=MISSING)
    )


def test_each_variant_has_a_note_of_what_it_does() -> None:
    lines = notes(found(dask=MISSING))

    assert "# Graphport (9.9): key, cache, metrics per type; single flight, cancellable at each node" in lines
    assert any(line.startswith("# Dask, threads (not installed): ") for line in lines)
    assert len(lines) == 12


def test_engines_are_not_installed_where_there_is_no_such_python() -> None:
    environments = Environments("/nowhere/bin/python")

    assert environments.ask("on_dask", "measure") == MISSING


def test_a_measurement_that_fails_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    assert Environments("/nowhere").ask("on_python", "measure", "on_python", "no such variant", "chain") == {
        "problem": "failed"
    }
    assert "StopIteration" in capfd.readouterr().err


def test_a_small_measurement_is_found() -> None:
    one = Environments("/nowhere").ask("on_python", "sibling", "on_graphport")

    assert one.keys() == {"after_fast_s"}


@pytest.mark.parametrize(("ratio", "text"), [(0.714, "0.71x"), (4.04, "4.0x"), (213.4, "213x")])
def test_ratios_are_shown_with_two_digits_or_so(ratio: float, text: str) -> None:
    assert readme_figures.shown(ratio) == text


def test_figures_are_placed_between_the_marks_of_the_readme() -> None:
    text = README.read_text(encoding="utf-8")

    placed = readme_figures.placed(text, "NEW")

    assert f"{readme_figures.BEGIN}\nNEW\n{readme_figures.END}" in placed
    assert readme_figures.placed(placed, "NEW") == placed
    with pytest.raises(ValueError, match="expected the lines"):
        readme_figures.placed("no marks", "NEW")


def test_the_long_chain_is_long() -> None:
    assert LONG_CHAIN == 100_000
