"""`graphport port`: its arguments, and the engine. Imports nothing but the standard library before the engine runs."""

from __future__ import annotations

import argparse
import traceback
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence


_EXIT_FAILED: Final = 70


def main(arguments: Sequence[str]) -> NoReturn:
    """Be an engine until the pipe ends. Does not return: the process ends here, whatever threads nodes have left."""
    options = _parser().parse_args(arguments)
    from graphport.app.engine import leave, run_port

    status = _EXIT_FAILED
    try:
        status = run_port(options.nodes, stdio=options.stdio)
    except BaseException:
        traceback.print_exc()
    finally:
        leave(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="graphport port", description="Be an engine. The Elixir library starts this; it is not for people."
    )
    parser.add_argument(
        "--nodes",
        action="append",
        default=[],
        metavar="MODULE",
        help="a Python module with your own nodes; may be given several times",
    )
    parser.add_argument("--stdio", action="store_true", help="speak on standard input and output")
    return parser
