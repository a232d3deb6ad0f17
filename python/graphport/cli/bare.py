"""The command without the extra `cli`: `models` works, the others say what to install.

Imports the standard library only. Called by `cli.main` where typer or rich is missing.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

NEEDS_EXTRA: Final = ("run", "check", "convert", "nodes", "doctor")


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    if options.command in NEEDS_EXTRA:
        sys.stderr.write(
            f"graphport {options.command} needs packages that are not installed. Type: pip install 'graphport[cli]'\n"
        )
        return 1
    from graphport.cli import models

    if options.action == "list":
        return models.show_list(as_json=options.json)
    return models.install(options.name, as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    from graphport.core.version import VERSION

    parser = argparse.ArgumentParser(
        prog="graphport",
        description="Runs workflow graphs for Elixir and Phoenix apps.",
        epilog="More commands, with pip install 'graphport[cli]': run, check, convert, nodes, doctor.",
    )
    parser.add_argument("--version", action="version", version=f"graphport {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("port", help="be an engine; started by the Elixir library")
    models = commands.add_parser("models", help="small models to try things with")
    actions = models.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="models that can be used by name, and those that can be installed")
    install = actions.add_parser("install", help="download a model")
    install.add_argument("name", help="for example smollm2")
    for one in (listing, install):
        one.add_argument("--json", action="store_true", help="answer in JSON")
    for name in NEEDS_EXTRA:
        # Whatever stands behind the name: the answer is the same.
        needing = commands.add_parser(name, add_help=False, prefix_chars="\0")
        needing.add_argument("rest", nargs="*")
    return parser
