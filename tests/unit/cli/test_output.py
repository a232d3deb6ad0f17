from __future__ import annotations

import datetime
import io
import json
import sys
from typing import Any

import pytest

from graphport.cli.output import harmless, own_output, to_json


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": [1, 2.5, True, None, "ä"]}, {"a": [1, 2.5, True, None, "ä"]}),
        ([float("nan"), float("inf")], [None, None]),
        (b"\xff", {"base64": "/w=="}),
        ({1: 2}, {"1": 2}),
        ((1, {2}), [1, [2]]),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (2 + 1j, "(2+1j)"),
    ],
)
def test_every_value_has_a_form_in_json(value: Any, said: Any) -> None:
    assert json.loads(to_json(value)) == said


def test_a_value_of_any_depth_is_one_line() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value]

    assert "\n" not in to_json(value)


def test_harmless_text_keeps_its_lines() -> None:
    assert harmless("a\tb\n\x1b[2J\x07\x9bc\r") == "a\tb\n[2Jc"


def test_what_is_printed_meanwhile_goes_to_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)

    with own_output() as ours:
        sys.stdout.write("noise")
        ours.write("answer")

    assert (out.getvalue(), err.getvalue()) == ("answer", "noise")
    assert sys.stdout is out
