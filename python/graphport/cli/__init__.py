"""The `graphport` command.

`port` is looked for before anything else is set up, because an engine should be ready at once and needs none of the
packages that the other commands do.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status, but for usage mistakes, which end with `SystemExit`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["port"]:
        from graphport.cli import port

        return port.main(given[1:])
    if importlib.util.find_spec("typer") is None or importlib.util.find_spec("rich") is None:
        from graphport.cli import bare

        return bare.main(given)
    from graphport.cli import commands

    return commands.main(given)
