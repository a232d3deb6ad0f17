"""validator: looks for outdated or broken Svelte code, such as models write. Runs inline, pure."""

from __future__ import annotations

import re
from typing import Any, Final, TypedDict

from graphport.contracts.node import PortSpec
from graphport.graph.authoring import node, node_type_of
from graphport.nodes._values import text_of

# What Svelte 5 no longer takes, and what it takes instead.
_OUTDATED: Final = (
    ("export let ", "`let { prop } = $props()` instead of `export let prop`"),
    ("on:click", "`onclick` instead of `on:click`"),
    ("on:change", "`onchange` instead of `on:change`"),
    ("on:input", "`oninput` instead of `on:input`"),
    ("on:submit", "`onsubmit` instead of `on:submit`"),
)
# After a colon it is part of an address, as in https://, and code may follow.
_COMMENT: Final = re.compile(r"(?<!:)//.*")


class Validated(TypedDict):
    """The outputs."""

    valid: bool
    error: str
    category: str


@node(
    inputs=[PortSpec(name="code", type="string", required=True, external=True, description="A Svelte component.")],
    outputs=[
        PortSpec(name="valid", type="boolean", description="Whether nothing was found."),
        PortSpec(name="error", type="string", description="What was found first, and what to write; empty if valid."),
        PortSpec(name="category", type="string", description="`SveltePattern`, `SvelteCompiler`, or empty if valid."),
    ],
    category="logic",
    execution="inline",
    trusted=True,
)
def validator(code: Any) -> Validated:
    """Says whether a Svelte component is free of syntax that Svelte 5 has given up and of unclosed scripts.

    `SveltePattern` is outdated syntax outside of `//` comments; `SvelteCompiler` is a number of `<script` that
    differs from that of `</script>`. Bad code is a result, not an error.

    Raises:
        NodeError: `missing_input` if there is no code; `invalid_input` if it is blank or no text.
    """
    text = text_of(code, "validator", "code", "the text of a component")
    uncommented = _COMMENT.sub("", text)
    for pattern, instead in _OUTDATED:
        if pattern in uncommented:
            error = f"SVELTE 5 SYNTAX ERROR: Found forbidden pattern '{pattern}'. Use {instead}."
            return {"valid": False, "error": error, "category": "SveltePattern"}
    if text.count("<script") != text.count("</script>"):
        return {"valid": False, "error": "Unbalanced <script> tags", "category": "SvelteCompiler"}
    return {"valid": True, "error": "", "category": ""}


NODE = node_type_of(validator)
