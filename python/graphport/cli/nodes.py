"""`graphport nodes`: which node types there are, and the ports of one. Called by `commands`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from graphport.app.engine import Composition
from graphport.cli.output import OK, Misuse, own_output, to_json
from graphport.cli.user_nodes import catalogue_of
from graphport.graph.describe import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console


def show_nodes(names: Sequence[str], node_modules: Sequence[str], *, as_json: bool) -> int:
    """Show all types in a line each, or those named with their ports; in JSON always everything.

    Raises:
        Misuse: there is no such type, or a module of nodes cannot be used.
    """
    from rich.console import Console

    with own_output() as out:
        catalogue = catalogue_of(Composition(node_modules))
        for name in names:
            if name not in catalogue:
                nearest = catalogue.nearest(name)
                hint = f" Did you mean {nearest!r}?" if nearest else " `graphport nodes` lists them all."
                raise Misuse(f"There is no node type {name!r}.{hint}", code="unknown_type")
        wanted = list(dict.fromkeys(names)) or catalogue.names()
        found = [describe(node_type.spec) for name in wanted if (node_type := catalogue.get(name)) is not None]
        if as_json:
            out.write(f"{to_json(found)}\n")
            return OK
        console = Console(file=out, highlight=False, soft_wrap=True)
        if names:
            for spec in found:
                _show_one(console, spec)
        else:
            _show_list(console, found)
    return OK


def _show_list(console: Console, specs: Sequence[dict[str, Any]]) -> None:
    from rich.text import Text

    width = max((len(spec["type"]) for spec in specs), default=0)
    for spec in specs:
        console.print(Text.assemble((f"{spec['type']:<{width}}", "bold"), "  ", _first_line(spec["description"])))


def _show_one(console: Console, spec: dict[str, Any]) -> None:
    from rich.text import Text

    about = f"{spec['category']}, version {spec['version']}, {spec['effect']}, {spec['execution']}"
    console.print(Text.assemble((spec["type"], "bold"), f"  ({about})"))
    if spec["description"]:
        console.print(Text(spec["description"].strip()))
    for kind in ("inputs", "outputs"):
        if not spec[kind]:
            console.print(Text(f"  no {kind}", "dim"))
            continue
        console.print(Text(f"  {kind}", "dim"))
        width = max(len(port["name"]) for port in spec[kind])
        for port in spec[kind]:
            facts = ", ".join([port["type"], *_facts(port)])
            rest = f": {_first_line(port['description'])}" if port["description"] else ""
            console.print(Text.assemble("    ", (f"{port['name']:<{width}}", "bold"), f"  {facts}{rest}"))
    console.print()


def _facts(port: dict[str, Any]) -> list[str]:
    facts = [word for word in ("required", "multiple", "hidden", "stream") if port.get(word)]
    if port.get("default") is not None:
        facts.append(f"default {json.dumps(port['default'], ensure_ascii=False)}")
    facts += [f"{word} {port[word]:g}" for word in ("min", "max") if isinstance(port.get(word), int | float)]
    if port.get("choices"):
        facts.append("one of " + ", ".join(json.dumps(choice, ensure_ascii=False) for choice in port["choices"]))
    if port.get("setting"):
        facts.append(f"setting {port['setting']}")
    return facts


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
