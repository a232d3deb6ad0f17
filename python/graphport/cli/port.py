"""`graphport port`. Called by `cli.main`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace


def run(options: Namespace) -> int:
    """Be an engine until the pipe ends. Does not return in the ordinary way: the process ends here."""
    from graphport.app.engine import leave, run_port

    status = run_port(options.nodes, stdio=options.stdio)
    leave(status)
    return status
