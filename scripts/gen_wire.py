"""Writes the wire vectors of both languages from the tables in `scripts/wire_vectors/`.

    python scripts/gen_wire.py            writes tests/wire/vectors/*
    python scripts/gen_wire.py --check    writes nothing; exits with status 1 if a file differs

A vector has a kind, a name, a verdict (`accept` or an error code), the frame, and its value in a notation of
tagged pairs which belongs to no language. Frames are built by the tiny encoder in this file or written by
hand, never by the codecs under test. `*.json` is read by Python, `*.eterm` (`:file.consult/1`) by Elixir.

Notation of frames: hexadecimal bytes, blanks ignored; `61*65535` is the byte 61 so many times.
Kinds: `value` (one value), `to_engine`, `to_beam` (frames of messages), `write` (a value that has no form).
`exact` says that a sender writes exactly these bytes for the value.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests" / "wire" / "vectors"

Tagged = tuple[Any, ...]


@dataclass(frozen=True)
class Vector:
    """One case: see the module's docstring."""

    kind: str
    name: str
    verdict: str
    hex: str
    value: Tagged | None
    exact: bool = False
    messages: tuple[str, ...] = ()


class Table:
    """Collects vectors; refuses two of one name."""

    def __init__(self) -> None:
        self.vectors: list[Vector] = []
        self._names: set[str] = set()

    def add(self, vector: Vector) -> None:
        if vector.name in self._names:
            raise SystemExit(f"two vectors are named {vector.name!r}")
        self._names.add(vector.name)
        self.vectors.append(vector)

    def value(self, name: str, hex_text: str, value: Tagged, *, exact: bool = True) -> None:
        self.add(Vector("value", name, "accept", hex_text, value, exact))

    def bad(self, name: str, hex_text: str) -> None:
        self.add(Vector("value", name, "bad_frame", hex_text, None))

    def unwritable(self, name: str, value: Tagged) -> None:
        self.add(Vector("write", name, "unencodable_value", "", value))

    def frame(self, kind: str, name: str, message: Any, verdict: str = "accept", names: str = "") -> None:
        self.add(Vector(kind, name, verdict, encode(message).hex(), tag(message), messages=tuple(names.split())))


class Bytes(bytes):
    """Marks bytes as MessagePack `bin` for `encode` and `tag`."""


def encode(value: Any) -> bytes:  # noqa: C901 - a table of forms
    """The tiny encoder: what frames of the tables hold, in the shortest form; refuses everything else."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int() if 0 <= value < 128:
            return bytes([value])
        case int() if -32 <= value < 0:
            return struct.pack("b", value)
        case int() if 0 <= value < 2**64:
            return b"\xcf" + struct.pack(">Q", value)
        case int() if -(2**63) <= value < 0:
            return b"\xd3" + struct.pack(">q", value)
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case Bytes() if len(value) < 256:
            return b"\xc4" + bytes([len(value)]) + value
        case str() if len(value.encode()) < 32:
            return bytes([0xA0 + len(value.encode())]) + value.encode()
        case str() if len(value.encode()) < 256:
            return b"\xd9" + bytes([len(value.encode())]) + value.encode()
        case list() if len(value) < 16:
            return bytes([0x90 + len(value)]) + b"".join(map(encode, value))
        case dict() if len(value) < 16:
            pairs = (encode(k) + encode(v) for k, v in value.items())
            return bytes([0x80 + len(value)]) + b"".join(pairs)
    raise SystemExit(f"gen_wire: the tables hold a value that its encoder does not know: {value!r}")


def tag(value: Any) -> Tagged:
    """A value of the tables in the neutral notation."""
    match value:
        case None:
            return ("nil",)
        case bool():
            return ("bool", value)
        case int():
            return ("int", value)
        case float():
            return ("float", value)
        case Bytes():
            return ("bytes", value.hex())
        case str():
            return ("str", value)
        case list():
            return ("list", [tag(item) for item in value])
        case dict():
            return ("map", [[tag(k), tag(v)] for k, v in value.items()])
    raise SystemExit(f"gen_wire: no notation for {value!r}")


def as_json(value: Any) -> Any:
    """Integers as text, since JSON readers disagree about large ones; those over 64 bit in hexadecimal."""
    if isinstance(value, tuple) and value[:1] == ("int",):
        return ["int", str(value[1]) if abs(value[1]) < 2**64 else hex(value[1])]
    if isinstance(value, tuple | list):
        return [as_json(item) for item in value]
    return value


def as_erlang(value: Any) -> str:
    match value:
        case None:
            return "nil"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if abs(value) < 2**64 else hex(value).replace("0x", "16#")
        case float():
            text = repr(value)
            return text if "." in text else text.replace("e", ".0e")
        case str():
            raw = value.encode()
            plain = all(32 <= byte < 127 and byte not in b'"\\' for byte in raw)
            return f'<<"{value}">>' if plain else "<<" + ",".join(map(str, raw)) + ">>"
        case tuple() if value:
            return "{" + ",".join([value[0], *map(as_erlang, value[1:])]) + "}"
        case list():
            return "[" + ",".join(map(as_erlang, value)) + "]"
    raise SystemExit(f"gen_wire: no Erlang form for {value!r}")


def render_json(vectors: list[Vector]) -> str:
    lines = []
    for vector in vectors:
        row: dict[str, Any] = {
            "name": vector.name,
            "kind": vector.kind,
            "verdict": vector.verdict,
            "hex": vector.hex,
        }
        row |= {"value": as_json(vector.value), "exact": vector.exact, "messages": list(vector.messages)}
        lines.append("  " + json.dumps(row, ensure_ascii=True))
    return "[\n" + ",\n".join(lines) + "\n]\n"


def render_eterm(vectors: list[Vector]) -> str:
    lines = ["%% Written by scripts/gen_wire.py. {Kind, Name, Verdict, Hex, Value, Exact, Messages}."]
    for vector in vectors:
        fields = [vector.name, vector.verdict, vector.hex, vector.value, vector.exact, list(vector.messages)]
        lines.append("{" + ",".join([vector.kind, *map(as_erlang, fields)]) + "}.")
    return "\n".join(lines) + "\n"


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"gen_wire: cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build() -> dict[str, str]:
    """File name to content."""
    folder = Path(__file__).resolve().parent / "wire_vectors"
    table = Table()
    for name in ("values", "messages"):
        load(folder / f"{name}.py").fill(table, encode, Bytes)
    codes = sorted(load(ROOT / "python" / "graphport" / "core" / "errors.py").CODES.items())
    files = {}
    for kind in ("value", "write", "to_engine", "to_beam"):
        files[f"{kind}.json"] = render_json([v for v in table.vectors if v.kind == kind])
    files["vectors.eterm"] = render_eterm(table.vectors)
    files["errors.json"] = json.dumps(dict(codes), indent=2, ensure_ascii=True) + "\n"
    header = "%% Written by scripts/gen_wire.py from core/errors.py. {Code, Meaning}."
    rows = [f"{{{as_erlang(code)},{as_erlang(meaning)}}}." for code, meaning in codes]
    files["errors.eterm"] = "\n".join([header, *rows]) + "\n"
    return files


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the wire vectors, or check that they are up to date.")
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if a file differs")
    check = parser.parse_args().check
    files = build()
    stale = [p.name for p in OUT.glob("*") if p.is_file() and p.name not in files]
    for name, text in files.items():
        path = OUT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                OUT.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"gen_wire: out of date: {', '.join(stale)}; run `python scripts/gen_wire.py`", file=sys.stderr)
        return 1
    print(f"gen_wire: {'checked' if check else 'wrote'} {len(files)} files")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
