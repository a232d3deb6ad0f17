"""The option `cache` of an engine: bounds of its cache, and a store beyond it.

    {"max_bytes": 268435456, "max_entries": 1000000,
     "store": {"kind": "sqlite" | "filesystem" | "memory", "path": "…", "max_bytes": …, "max_entries": …}}

All of it may be left out. Called by `engine`; the only place that names the stores.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphport.contracts.cache_store import DEFAULT_STORE_BYTES, DEFAULT_STORE_ENTRIES
from graphport.core.errors import StoreError, WireError
from graphport.demand.memo import DEFAULT_BYTES, DEFAULT_ENTRIES, Memo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphport.contracts.cache_store import CacheStore

_MOST: Final = 2**53
_SQLITE_ENDS: Final = (".db", ".sqlite", ".sqlite3")


@dataclass(frozen=True, slots=True)
class Cache:
    """What an evaluator is made with.

    Attributes:
        memo: its cache.
        store: opened; None if there is to be none.
    """

    memo: Memo
    store: CacheStore | None


def opened(option: Any) -> Cache:
    """The cache that an option describes. Blocks while the store is opened, before anything is demanded.

    Raises:
        WireError: `bad_message` if the option is not as it should be.
        StoreError: the store cannot be opened.
    """
    if option is None:
        return Cache(Memo(), None)
    known = _known(option, "cache", {"max_bytes", "max_entries", "store"})
    memo = Memo(
        max_bytes=_bound(known, "cache", "max_bytes", DEFAULT_BYTES),
        max_entries=_bound(known, "cache", "max_entries", DEFAULT_ENTRIES),
    )
    if known.get("store") is None:
        return Cache(memo, None)
    described = _known(known["store"], "cache.store", {"kind", "path", "max_bytes", "max_entries"})
    kind = described.get("kind")
    make = _KINDS.get(kind) if isinstance(kind, str) else None
    if make is None:
        raise WireError(f"option cache.store.kind: expected one of {', '.join(_KINDS)}, got {kind!r}")
    path = described.get("path")
    if kind != "memory" and (not isinstance(path, str) or not path or "\0" in path):
        raise WireError(f"option cache.store.path: expected a path, got {path!r}")
    return Cache(
        memo,
        make(
            path,
            _bound(described, "cache.store", "max_bytes", DEFAULT_STORE_BYTES),
            _bound(described, "cache.store", "max_entries", DEFAULT_STORE_ENTRIES),
        ),
    )


def described_by(path: str) -> dict[str, Any]:
    """The option for a path that a person typed: an SQLite file if it ends like one, else a folder."""
    is_file = path.endswith(_SQLITE_ENDS) and not Path(path).is_dir()
    return {"store": {"kind": "sqlite" if is_file else "filesystem", "path": path}}


def _known(given: Any, name: str, keys: set[str]) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise WireError(f"option {name}: expected a map, got {type(given).__name__}")
    unknown = given.keys() - keys
    if unknown:
        known = ", ".join(sorted(keys))
        raise WireError(f"option {name}: there is no {min(map(str, unknown))!r} in it; known are {known}")
    return given


def _bound(given: Mapping[str, Any], name: str, key: str, default: int) -> int:
    value = given.get(key)
    if value is None:
        return default
    if type(value) is not int or not 0 < value <= _MOST:
        raise WireError(f"option {name}.{key}: expected an integer from 1 to {_MOST}, got {value!r}")
    return value


def _memory(_path: Any, max_bytes: int, max_entries: int) -> CacheStore:
    from graphport.stores.memory import MemoryStore

    return MemoryStore(max_bytes=max_bytes, max_entries=max_entries)


def _filesystem(path: str, max_bytes: int, max_entries: int) -> CacheStore:
    from graphport.stores.filesystem import FilesystemStore

    store = FilesystemStore(path, max_bytes=max_bytes, max_entries=max_entries)
    store.open()
    return store


def _sqlite(path: str, max_bytes: int, max_entries: int) -> CacheStore:
    try:
        from graphport.stores.sqlite import SqliteStore
    except ImportError as error:
        raise StoreError("this Python was built without sqlite3; use the store 'filesystem'") from error

    store = SqliteStore(path, max_bytes=max_bytes, max_entries=max_entries)
    store.open()
    return store


_KINDS: Final[dict[str, Callable[[Any, int, int], CacheStore]]] = {
    "memory": _memory,
    "filesystem": _filesystem,
    "sqlite": _sqlite,
}
