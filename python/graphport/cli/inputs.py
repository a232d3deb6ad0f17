"""Reads `--input node.port=value`. Every mistake is a `Misuse` that says what there is instead."""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphport.cli.output import Misuse
from graphport.graph.port_types import check_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphport.app.local_run import LocalGraph
    from graphport.contracts.node import PortSpec

# Ports whose value is the text itself, also where it happens to be JSON.
_TEXT_TYPES: Final = frozenset({"string", "prompt"})


def read_inputs(given: Sequence[str], graph: LocalGraph) -> dict[str, dict[str, Any]]:
    """The demand's inputs: node to port to value. A port of many values takes what is given several times as a list."""
    inputs: dict[str, dict[str, Any]] = {}
    repeated: dict[tuple[str, str], list[Any]] = {}
    for text in given:
        place, sign, value = text.partition("=")
        if not sign:
            raise Misuse(f"--input takes node.port=value, got {text!r}.")
        node_id, port = _port(place, graph)
        found = _value(port, place, value)
        if port.multiple and not isinstance(found, list):
            found = repeated.setdefault((node_id, port.name), [])
            found.append(_value(port, place, value))
        elif port.name in inputs.get(node_id, {}):
            raise Misuse(f"--input {place} is given twice.")
        problem = check_value(port, found)
        if problem is not None:
            raise Misuse(f"--input {place}: {problem}.", code="invalid_input", node_id=node_id)
        inputs.setdefault(node_id, {})[port.name] = found
    return inputs


def _port(place: str, graph: LocalGraph) -> tuple[str, PortSpec]:
    """The port that `node.port` names; ids and ports may themselves contain dots."""
    node_id = ""
    for at in (index for index in range(len(place) - 1, -1, -1) if place[index] == "."):
        spec = graph.spec(place[:at])
        if spec is None:
            continue
        node_id = place[:at]
        port = spec.input(place[at + 1 :])
        if port is not None:
            return node_id, port
    if "." not in place:
        raise Misuse(f"--input takes node.port=value, got {place!r} before the sign =.")
    if not node_id:
        missing = place.rpartition(".")[0]
        raise Misuse(unknown_node(missing, graph.node_ids()), code="unknown_node")
    spec = graph.spec(node_id)
    names = [port.name for port in spec.inputs] if spec is not None else []
    wrong = place[len(node_id) + 1 :]
    raise Misuse(
        f"The node {node_id!r} has no input {wrong!r}; it has: {', '.join(names) or 'none'}.{_guess(wrong, names)}",
        code="invalid_input",
        node_id=node_id,
    )


def unknown_node(node_id: str, known: Sequence[str]) -> str:
    """A sentence for the id of a node that is not there."""
    return f"The graph has no node {node_id!r}.{_guess(node_id, known)}"


def _guess(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _value(port: PortSpec, place: str, text: str) -> Any:
    found: str | bytes = text
    if text.startswith("@@"):
        found = text[1:]
    elif text.startswith("@"):
        try:
            found = Path(text[1:]).read_bytes()
            if port.type == "bytes":
                return found
            found = found.decode()
        except OSError as error:
            raise Misuse(f"--input {place}: {text[1:]} cannot be read: {error.strerror or error}.") from error
        except UnicodeDecodeError:
            raise Misuse(f"--input {place}: {text[1:]} is no UTF-8 text.") from None
    if port.type == "bytes":
        return found.encode() if isinstance(found, str) else found
    if port.type in _TEXT_TYPES and not port.multiple:
        return found
    try:
        decoded = json.loads(found)
    except (ValueError, RecursionError):
        return found
    if port.type in _TEXT_TYPES and not isinstance(decoded, list):
        return found
    return decoded
