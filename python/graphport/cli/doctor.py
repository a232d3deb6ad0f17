"""`graphport doctor`: shows what is installed, what is missing and how to get it. Called by `commands`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphport.app.doctor import Finding, examine, is_fit
from graphport.app.models import ModelFolder
from graphport.cli.output import FAILED, OK, own_output, to_json

if TYPE_CHECKING:
    from rich.console import Console

_STYLES: Final = {"ok": "green", "missing": "bold red", "optional": "yellow"}


def show_doctor(*, as_json: bool) -> int:
    """Look and show; returns 0, or 1 if `graphport run` cannot run a local model."""
    with own_output() as out:
        findings = examine(ModelFolder())
        fit = is_fit(findings)
        if as_json:
            out.write(f"{to_json({'ok': fit, 'findings': [finding.to_plain() for finding in findings]})}\n")
        else:
            from rich.console import Console

            _show(Console(file=out, highlight=False, soft_wrap=True), findings, fit=fit)
    return OK if fit else FAILED


def _show(console: Console, findings: list[Finding], *, fit: bool) -> None:
    from rich.text import Text

    status_width = max(len(status) for status in _STYLES)
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        status = (f"{finding.status:<{status_width}}", _STYLES[finding.status])
        console.print(Text.assemble(status, "  ", (f"{finding.name:<{width}}", "bold"), f"  {finding.found}"))
        if finding.fix:
            indent = " " * (status_width + width + 4)
            console.print(Text(f"{indent}for {finding.used_for}: {finding.fix}"))
    if fit:
        console.print(Text("Graphs with local models can run here.", "green"))
    else:
        console.print(Text("Graphs with local models cannot run here until what is missing is installed.", "bold red"))
