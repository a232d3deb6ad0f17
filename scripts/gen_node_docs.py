"""Writes a page for each core node, from its declaration, its docstring and its golden cases.

    python scripts/gen_node_docs.py            writes python/graphport/nodes/docs/*.md
    python scripts/gen_node_docs.py --check    writes nothing; exits with status 1 if a page differs

The example of a page is the node's first golden case; a test runs what the page shows.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphport.graph.describe import describe
from graphport.graph.port_types import SHAPES
from graphport.nodes import CORE_NODES

if TYPE_CHECKING:
    from graphport.contracts.node import NodeType

ROOT: Final = Path(__file__).resolve().parent.parent
OUT: Final = ROOT / "python" / "graphport" / "nodes" / "docs"
GOLDEN: Final = ROOT / "tests" / "unit" / "nodes" / "golden"

# Examples of nodes whose ports are those of a graph: whole graphs.
STRUCTURE: Final = ROOT / "tests" / "unit" / "nodes" / "structure"

NOTICE: Final = "<!-- Written by scripts/gen_node_docs.py; do not edit. -->"
# The node that has no golden cases, because its outputs are the model's.
UNSETTLED: Final = {"llamacpp-inference": {"prompt": "Why is the sky blue?", "model_path": "smollm2", "temperature": 0}}
# Messages that a page shows, and the longest line of an example.
MESSAGES_MOST: Final = 6
WIDTH: Final = 110
EFFECTS: Final = {
    "pure": "Equal inputs give equal outputs: results are cached and shared between demands.",
    "seeded": "Equal inputs and seed give equal outputs: results are cached; a demand with `fresh` draws another seed.",
    "volatile": "Runs anew for each demand.",
    "effect": "Changes something outside of the graph: runs once for each demand that needs it, and is never cached.",
}
EXECUTIONS: Final = {
    "inline": "Runs at once, on the engine's own loop.",
    "async": "Runs on the engine's own loop and lets others run while it waits.",
    "thread": "Runs on a thread of its own.",
}


def cell(text: str) -> str:
    """Text that does not break out of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *[[cell(text) for text in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def code(value: Any) -> str:
    """A value as JSON in a line of text."""
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def if_not_given(port: dict[str, Any]) -> str:
    """What becomes of an input that nobody gives."""
    setting = f"the graph's setting `{port['setting']}`, else " if port["setting"] else ""
    if port["multiple"] and not port["required"]:
        return f"{setting}an empty list"
    if not port["required"]:
        return setting + ("null" if port["default"] is None else code(port["default"]))
    return f"{setting}`missing_input`, an error of the {'demand' if port['external'] else 'graph'}"


def limits(port: dict[str, Any]) -> str:
    found = []
    if port["multiple"]:
        found.append("takes any number of edges")
    if port["min"] is not None:
        found.append(f"at least {port['min']:g}")
    if port["max"] is not None:
        found.append(f"at most {port['max']:g}")
    if port["choices"] is not None:
        found.append("one of " + ", ".join(map(code, port["choices"])))
    return f" {'; '.join(found).capitalize()}." if found else ""


def documentation(node_type: NodeType) -> tuple[str, list[tuple[str, str]]]:
    """The docstring of the node's function: its prose, and what it raises as (class, sentence)."""
    text = inspect.getdoc(inspect.unwrap(node_type.handler)) or ""
    prose, _, raises = text.partition("\nRaises:\n")
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", raises, flags=re.MULTILINE)
    return prose.strip(), [(name, re.sub(r"\s+", " ", sentence)) for name, sentence in found]


def cases_of(name: str) -> list[dict[str, Any]]:
    path = GOLDEN / f"{name}.json"
    cases: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return cases


def ports(description: dict[str, Any]) -> list[str]:
    inputs = [
        [f"`{port['name']}`", port["type"], if_not_given(port), port["description"] + limits(port)]
        for port in description["inputs"]
    ]
    outputs = [
        [f"`{port['name']}`", port["type"], "yes" if port["stream"] else "no", port["description"]]
        for port in description["outputs"]
    ]
    types = sorted({port["type"] for port in (*description["inputs"], *description["outputs"])})
    return [
        "## Inputs",
        "Each comes from the first that gives one: the demand, an edge, the node's data, a setting, the default.",
        table(["port", "type", "if nobody gives it", "what it is"], inputs),
        "## Outputs",
        table(["port", "type", "streamed", "what it is"], outputs),
        "## Types",
        "\n".join(f"- `{name}`: {SHAPES[name]}" for name in types),
    ]


def structure(node_type: NodeType) -> list[str]:
    if node_type.holds_graph:
        return ["Beside these it has the ports of the graph that it holds, and the effect class of what is in it."]
    return []


def errors(raises: list[tuple[str, str]], cases: list[dict[str, Any]]) -> list[str]:
    if not raises:
        return ["## Errors", "None of its own."]
    parts = ["## Errors", "\n".join(f"- `{name}`: {sentence}" for name, sentence in raises)]
    messages = {case["message"]: f"`{case['error']}`" for case in cases if "error" in case}
    rows = [[name, message] for message, name in messages.items()][:MESSAGES_MOST]
    return [*parts, "For instance:", table(["code", "message"], rows)] if rows else parts


def example(name: str, description: dict[str, Any], cases: list[dict[str, Any]]) -> list[str]:
    path = STRUCTURE / f"{name}.json"
    if path.exists():
        whole = json.loads(path.read_text(encoding="utf-8"))
        return [
            "## Example",
            f"In the graph:\n\n{block(whole['graph'])}",
            f"a demand for `{whole['demand']}` gives:",
            block(whole["outputs"]),
        ]
    case = cases[0] if cases else {"inputs": UNSETTLED[name]}
    defaults = {port["name"]: port["default"] for port in description["inputs"]}
    data = {port: value for port, value in case["inputs"].items() if value is not None and value != defaults[port]}
    parts = ["## Example", "In a graph:", block({"id": "it", "type": name, "data": data})]
    if "outputs" not in case:
        return [*parts, "The outputs are the model's."]
    # A demand for a gate gives null for the outputs that are dead.
    outputs = {port["name"]: case["outputs"].get(port["name"]) for port in description["outputs"]}
    parts += ["gives:", block(outputs)]
    if "chunks" in case:
        parts += ["and streams, as pairs of port and chunk:", block(case["chunks"])]
    return parts


def block(value: Any) -> str:
    line = json.dumps(value, ensure_ascii=False)
    text = line if len(line) <= WIDTH else json.dumps(value, ensure_ascii=False, indent=2)
    return f"```json\n{text}\n```"


def page(name: str) -> str:
    node_type = CORE_NODES[name]()
    description = describe(node_type.spec)
    prose, raises = documentation(node_type)
    cases = cases_of(name)
    gate = " A gate: what hangs on an output that it does not give is not run." if description["gate"] else ""
    parts = [
        NOTICE,
        f"# {name}",
        prose,
        f"Category {description['category']}, version {description['version']}. {EFFECTS[description['effect']]} "
        f"{EXECUTIONS[description['execution']]}{gate}",
        *ports(description),
        *structure(node_type),
        *errors(raises, cases),
        *example(name, description, cases),
    ]
    return "\n\n".join(parts) + "\n"


def index() -> str:
    rows = []
    for name, load in CORE_NODES.items():
        spec = load().spec
        inputs = ", ".join(f"`{port.name}`" for port in spec.inputs)
        outputs = ", ".join(f"`{port.name}`" for port in spec.outputs)
        rows.append([f"[{name}]({name}.md)", spec.category, inputs, outputs, spec.description])
    heads = ["node", "category", "inputs", "outputs", "what it does"]
    return "\n\n".join([NOTICE, "# The core nodes", table(heads, rows)]) + "\n"


def build() -> dict[str, str]:
    """File name to content."""
    return {"README.md": index(), **{f"{name}.md": page(name) for name in CORE_NODES}}


def stale_in(folder: Path, files: dict[str, str]) -> list[str]:
    """The names of pages that are missing, differ, or belong to no node."""
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*") if path.is_file()}
    return sorted(name for name in there.keys() | files.keys() if there.get(name) != files.get(name))


def main(arguments: list[str] | None = None, folder: Path = OUT) -> int:
    parser = argparse.ArgumentParser(
        description="Write the pages of the core nodes, or check that they are up to date."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if a page differs")
    check = parser.parse_args(arguments).check
    files = build()
    stale = stale_in(folder, files)
    if check and stale:
        print(f"gen_node_docs: out of date: {', '.join(stale)}; run `python scripts/gen_node_docs.py`", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in files:
            (folder / name).write_text(files[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    print(f"gen_node_docs: {'checked' if check else 'wrote'} {len(files)} pages")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
