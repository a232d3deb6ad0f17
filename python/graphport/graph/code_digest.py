"""Identifies the code of a node, so that results of older code are never taken for results of newer code.

Reads source files and nothing else. Called by `authoring` once for each node that is declared.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def code_digest(function: Callable[..., Any]) -> bytes:
    """16 bytes that change when the source file changes that defines the function.

    The whole file counts, because a node may use any function of it. Without a file (code typed into a
    console) the function's own bytecode counts.
    """
    code = inspect.unwrap(function).__code__
    path = Path(code.co_filename)
    try:
        stat = path.stat()
        return _file_digest(path, stat.st_mtime_ns, stat.st_size)
    except (OSError, ValueError):
        digest = blake2b(digest_size=16)
        for part in _parts(code):
            digest.update(part)
        return digest.digest()


@lru_cache(maxsize=1024)
def _file_digest(path: Path, mtime_ns: int, size: int) -> bytes:
    """The digest of a file. Time and size are asked too, so that a module loaded anew gets a new digest."""
    return blake2b(path.read_bytes(), digest_size=16).digest()


def _parts(code: CodeType) -> list[bytes]:
    """What the bytecode consists of, functions inside of it included. Marshal will not do: its bytes vary."""
    parts = []
    waiting = [code]
    while waiting:
        one = waiting.pop()
        parts += [one.co_code, repr(one.co_names).encode()]
        for constant in one.co_consts:
            if isinstance(constant, CodeType):
                waiting.append(constant)
            else:
                # The order in which a frozen set tells its items differs between processes.
                said = sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant
                parts.append(repr(said).encode("utf-8", "backslashreplace"))
    return parts
