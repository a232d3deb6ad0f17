"""Which method of a builder stands for which node type: `text_input` for `text-input`. Pure; loads no node type.

Called by the builder, and by what writes Python code for it.
"""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def method_names(types: Iterable[str], taken: Collection[str]) -> dict[str, str]:
    """Method name → node type.

    A type has a method if its name, with `_` for `-`, can be written in Python and is not among the `taken` ones. Of
    two types with one method name the type of exactly that name has it, else the first in alphabetical order.
    """
    names: dict[str, str] = {}
    for name in sorted(types):
        method = name.replace("-", "_")
        if is_name(method) and not method.startswith("_") and method not in taken:
            names[method] = name if method == name else names.get(method, name)
    return names


def is_name(text: str) -> bool:
    """Whether a text can be written as a name in Python and comes back as the same text."""
    # Python reads names in another Unicode form than they are written in: letters of ASCII alone are safe.
    return text.isascii() and text.isidentifier() and not keyword.iskeyword(text)
