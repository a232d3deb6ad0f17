"""Prints the rows that the benchmarks made as one table, and the machine they ran on. Called by `scripts/bench`.

A row is a line `figure TAB value TAB peer TAB ratio TAB target`; the last three may be empty. The target is
`<=1.5x`, `>=0.95x`, `<=0.3 ms`: it is met if the ratio's number is on its right side. A line `# text` is a remark.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

_WIDTHS: Final = (51, 15, 15, 9, 9, 5)
_HEAD: Final = ("figure", "value", "peer", "ratio", "target", "met?")
_TARGET: Final = re.compile(r"(<=|>=)\s*([\d.]+)")
_NUMBER: Final = re.compile(r"-?[\d.]+")


def main(files: list[str]) -> None:
    print(machine())
    for name in files:
        print()
        print(_line((f"{Path(name).stem.upper()}: {_HEAD[0]}", *_HEAD[1:])))
        print("-" * (sum(_WIDTHS) + len(_WIDTHS) - 1))
        for row in Path(name).read_text(encoding="utf-8").splitlines():
            if row.startswith("# "):
                print(row[2:])
                continue
            figure, value, peer, ratio, target = (row.split("\t") + [""] * 5)[:5]
            print(_line((figure, value, peer or "-", ratio or "-", _shown(target), _met(ratio, target))))


def _line(cells: tuple[str, ...]) -> str:
    first, *others = cells
    rest = (cell.rjust(width) for cell, width in zip(others, _WIDTHS[1:], strict=True))
    return " ".join((first.ljust(_WIDTHS[0]), *rest)).rstrip()


def _shown(target: str) -> str:
    return target.replace("<=", "≤ ").replace(">=", "≥ ") or "-"


def _met(ratio: str, target: str) -> str:
    limit, number = _TARGET.match(target), _NUMBER.match(ratio)
    if limit is None or number is None:
        return "-"
    found, wanted = float(number[0]), float(limit[2])
    return "yes" if (found <= wanted if limit[1] == "<=" else found >= wanted) else "no"


def machine() -> str:
    """This machine, how busy it is, and what runs on it."""
    try:
        from importlib.metadata import version

        uvloop = f"uvloop {version('uvloop')}"
    except ImportError:
        uvloop = "no uvloop"
    python = f"Python {platform.python_version()} with {uvloop}"
    load = os.getloadavg()[0]
    return f"{_cores()} cores, {_processor()}; load {load:.1f}; {_erlang()}; {python}; {platform.system()}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def _erlang() -> str:
    program = "io:put_chars(erlang:system_info(otp_release)), halt()."
    try:
        ran = subprocess.run(["erl", "-noshell", "-eval", program], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "no Erlang"
    return f"OTP {ran.stdout}"


if __name__ == "__main__":
    main(sys.argv[1:])
