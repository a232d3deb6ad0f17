"""Node types whose executions are counted in a file, and one that looks into a store."""

import contextlib
import sqlite3
from pathlib import Path

from graphport import RunContext, node


@node(outputs={"text": str}, stream=True)
async def counted_words(text: str, count_in: str, ctx: RunContext) -> dict[str, str]:
    """Streams the words of a text, as a model does."""
    _count(count_in, "words")
    for word in text.split():
        await ctx.stream("text", word + " ")
    return {"text": text}


@node(outputs={"length": int})
def counted_length(text: str, count_in: str) -> int:
    """The length of a text, found on a thread."""
    _count(count_in, "length")
    return len(text)


@node(outputs={"value": int}, effect="volatile")
def results_in(path: str) -> int:
    """How many results an SQLite store has."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        (entries,) = database.execute("SELECT entries FROM gp_cache_total").fetchone()
        return int(entries)


def _count(path: str, what: str) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{what}\n")
