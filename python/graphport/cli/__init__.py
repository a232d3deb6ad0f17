"""The `graphport` command."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status.

    `port` is looked for before anything else is set up, because an engine should be ready at once.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    if options.command == "port":
        from graphport.cli import port

        return port.run(options)
    from graphport.cli import models

    return models.run(options)


def _parser() -> argparse.ArgumentParser:
    from graphport.core.version import VERSION

    parser = argparse.ArgumentParser(prog="graphport", description="Runs workflow graphs for Elixir and Phoenix apps.")
    parser.add_argument("--version", action="version", version=f"graphport {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    port = commands.add_parser("port", help="be an engine; started by the Elixir library")
    port.add_argument(
        "--nodes",
        action="append",
        default=[],
        metavar="MODULE",
        help="a Python module with your own nodes; may be given several times",
    )
    port.add_argument("--stdio", action="store_true", help="speak on standard input and output")
    models = commands.add_parser("models", help="small models to try things with")
    actions = models.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="models that can be installed, and where they are")
    install = actions.add_parser("install", help="download a model")
    install.add_argument("name", help="for example smollm2")
    return parser
