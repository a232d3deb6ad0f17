"""The sentence "Did you mean …?" for a name that is not known. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

# Looking for the most similar name costs time for each name there is, and for each letter.
_AMONG_MOST: Final = 2_000
_LETTERS_MOST: Final = 200


def did_you_mean(name: str, known: Collection[str]) -> str:
    """The sentence with a space before it, or nothing if no known name is like it or there are too many."""
    if len(known) > _AMONG_MOST or len(name) > _LETTERS_MOST:
        return ""
    near = get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
