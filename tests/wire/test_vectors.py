"""Runs the wire vectors against the Python codec.

The Elixir codec runs the same ones in `elixir_client/test/graphport/wire/vectors_test.exs`.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from graphport.core.errors import CODES, WireError
from graphport.wire import codec, messages
from graphport.wire.parse import parse_frame

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = Path(__file__).parent / "vectors"
# Fewer than these means that files went missing, not that all is well.
AT_LEAST: Final = {"value": 200, "write": 3, "to_engine": 60, "to_beam": 40}
SPECIAL: Final = {"nan": math.nan, "infinity": math.inf, "neg_infinity": -math.inf, "minus_zero": -0.0}


def load(kind: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((FOLDER / f"{kind}.json").read_text(encoding="utf-8"))
    assert {row["kind"] for row in rows} == {kind}
    return rows


VECTORS: Final = {kind: load(kind) for kind in AT_LEAST}


def frame(text: str) -> bytes:
    parts = text.replace("*", " *").split()
    out: list[str] = []
    for part in parts:
        if part.startswith("*"):
            out[-1] = out[-1][:-2] + out[-1][-2:] * int(part[1:])
        else:
            out.append(part)
    return bytes.fromhex("".join(out))


def nested(levels: int, empty: Any, wrap: Any) -> Any:
    value = empty
    for _ in range(levels - 1):
        value = wrap([value])
    return value


def expected(tagged: list[Any]) -> Any:  # noqa: C901 - a table of forms
    """The Python value of the neutral notation."""
    match tagged:
        case ["nil"]:
            return None
        case ["bool" | "float" | "str", value]:
            return value
        case ["int", text]:
            return int(text, 0)
        case ["special", name]:
            return SPECIAL[name]
        case ["bytes", text]:
            return bytes.fromhex(text)
        case ["repeat_str", text, count]:
            return text * count
        case ["repeat_bytes", text, count]:
            return bytes.fromhex(text) * count
        case ["repeat_list", item, count]:
            return [expected(item)] * count
        case ["nested", levels]:
            return nested(levels, [], list)
        case ["nested_tuple", levels]:
            return nested(levels, (), tuple)
        case ["power", base, exponent]:
            return base**exponent
        case ["list" | "tuple" | "set" as kind, items]:
            return {"list": list, "tuple": tuple, "set": set}[kind](map(expected, items))
        case ["map", pairs]:
            return {expected(key): expected(value) for key, value in pairs}
        case ["timestamp_us", number]:
            return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=expected(number))
        case ["naive", text]:
            return dt.datetime.fromisoformat(text)
        case ["date", text]:
            return dt.date.fromisoformat(text)
        case ["time", text]:
            return dt.time.fromisoformat(text)
    raise AssertionError(f"unknown notation {tagged!r}")


def same(left: Any, right: Any) -> bool:
    """Equal, of equal types all the way down, NaN equal to itself, -0.0 not equal to 0.0."""
    if left.__class__ is not right.__class__:
        return False
    if isinstance(left, float):
        return left.hex() == float(right).hex()
    if isinstance(left, list | tuple):
        waiting = [(left, right)]
        while waiting:  # not recursive: vectors nest deeper than the interpreter likes
            one, other = waiting.pop()
            if one.__class__ is not other.__class__ or not isinstance(one, list | tuple):
                if not same(one, other):
                    return False
            elif len(one) != len(other):
                return False
            else:
                waiting.extend(zip(one, other, strict=True))
        return True
    if isinstance(left, dict):
        return len(left) == len(right) and all(
            same(*keys) and same(left[keys[0]], right[keys[1]])
            for keys in zip(sorted(left, key=repr), sorted(right, key=repr), strict=True)
        )
    return bool(left == right)


def name(row: dict[str, Any]) -> str:
    return str(row["name"])


def accepted(kind: str, *, exact: bool = False) -> list[dict[str, Any]]:
    return [row for row in VECTORS[kind] if row["verdict"] == "accept" and (row["exact"] or not exact)]


def refused(kind: str) -> list[dict[str, Any]]:
    return [row for row in VECTORS[kind] if row["verdict"] != "accept"]


def test_no_file_is_short_or_stale() -> None:
    for kind, least in AT_LEAST.items():
        assert len(VECTORS[kind]) >= least, kind
        assert all(row["verdict"] in {"accept", *CODES} for row in VECTORS[kind])
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "gen_wire.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_code_list_is_the_exported_one() -> None:
    assert json.loads((FOLDER / "errors.json").read_text(encoding="utf-8")) == CODES
    assert all(re.fullmatch(r"[a-z_]+", code) for code in CODES)


@pytest.mark.parametrize("row", accepted("value") + accepted("to_engine") + accepted("to_beam"), ids=name)
def test_a_frame_is_read_as_its_value(row: dict[str, Any]) -> None:
    assert same(codec.unpack(frame(row["hex"])), expected(row["value"]))


@pytest.mark.parametrize("row", accepted("value", exact=True), ids=name)
def test_a_value_is_written_as_its_frame(row: dict[str, Any]) -> None:
    assert codec.pack(expected(row["value"])) == frame(row["hex"])


@pytest.mark.parametrize("row", refused("value"), ids=name)
def test_a_broken_frame_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(WireError) as caught:
        codec.unpack(frame(row["hex"]))
    assert caught.value.code == row["verdict"]


@pytest.mark.parametrize("row", refused("write"), ids=name)
def test_a_value_without_a_form_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(WireError) as caught:
        codec.pack(expected(row["value"]))
    assert caught.value.code == row["verdict"]


@pytest.mark.parametrize("row", accepted("to_engine"), ids=name)
def test_a_message_to_the_engine_is_taken(row: dict[str, Any]) -> None:
    parsed = parse_frame(frame(row["hex"]))
    kinds = ["".join(word.title() for word in text.split("_")) for text in row["messages"]]
    assert [type(message).__name__ for message in parsed] == kinds


@pytest.mark.parametrize("row", refused("to_engine"), ids=name)
def test_a_malformed_message_to_the_engine_is_refused(row: dict[str, Any]) -> None:
    parsed = parse_frame(frame(row["hex"]))
    faults = [message for message in parsed if isinstance(message, messages.Malformed)]
    assert [fault.error.code for fault in faults] == [row["verdict"]]


@pytest.mark.parametrize("mutant", ["lists_as_tuples", "never_refuses", "drops_map_entries"])
def test_a_mutated_codec_turns_the_vectors_red(mutant: str) -> None:
    """The vectors would be worthless if they passed whatever the codec does."""

    def lists_as_tuples(data: bytes) -> Any:
        value = codec.unpack(data)
        return tuple(value) if isinstance(value, list) else value

    def never_refuses(data: bytes) -> Any:
        try:
            return codec.unpack(data)
        except WireError:
            return None

    def drops_map_entries(data: bytes) -> Any:
        value = codec.unpack(data)
        return {} if isinstance(value, dict) else value

    unpack = {"lists_as_tuples": lists_as_tuples, "never_refuses": never_refuses}.get(mutant, drops_map_entries)

    def passes(row: dict[str, Any]) -> bool:
        try:
            value = unpack(frame(row["hex"]))
        except WireError as error:
            return bool(error.code == row["verdict"])
        return row["verdict"] == "accept" and same(value, expected(row["value"]))

    assert not all(passes(row) for row in VECTORS["value"])
