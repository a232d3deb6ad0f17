"""The SQLite file of a store: its tables, its transactions, and what is done when it is locked or damaged.

Everything here blocks and runs on the store's thread, but for `check`. A damaged file is set aside under another name
and begun anew, if no other process has it open; else the store cannot be used until they have ended. Called by
`sqlite`.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import time
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from graphport.stores.worker_thread import Job

_log = logging.getLogger("graphport.store")

# Says in the file's header whose it is: "gpca".
_APPLICATION_ID: Final = 0x67706361
_SCHEMA_VERSION: Final = 1
# The longest that one statement waits for another process.
_BUSY_S: Final = 0.5
# A file that could not be opened is not tried again sooner.
_RETRY_S: Final = 1.0
_KEYS_PER_STATEMENT: Final = 500
# Uses are written down with the next results, or when there are so many.
_USES_KEPT: Final = 256
_KEPT_WAL_BYTES: Final = 16_777_216
_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

# Frames lie apart, so that noting a use does not write them again. Totals are kept, so that no put counts the rows.
_SCHEMA: Final = (
    "CREATE TABLE gp_cache "
    "(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, used INTEGER NOT NULL)",
    "CREATE INDEX gp_cache_used ON gp_cache (used)",
    "CREATE TABLE gp_cache_frame (id INTEGER PRIMARY KEY, frame BLOB NOT NULL)",
    "CREATE TABLE gp_cache_total (entries INTEGER NOT NULL, bytes INTEGER NOT NULL)",
    "INSERT INTO gp_cache_total VALUES (0, 0)",
    "CREATE TRIGGER gp_cache_added AFTER INSERT ON gp_cache BEGIN "
    "UPDATE gp_cache_total SET entries = entries + 1, bytes = bytes + new.size; END",
    "CREATE TRIGGER gp_cache_removed AFTER DELETE ON gp_cache BEGIN "
    "DELETE FROM gp_cache_frame WHERE id = old.id; "
    "UPDATE gp_cache_total SET entries = entries - 1, bytes = bytes - old.size; END",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)


@dataclass(frozen=True, slots=True)
class Get:
    """Frames by key; counts as use."""

    keys: list[bytes]


@dataclass(frozen=True, slots=True)
class Contains:
    """Which of the keys there are."""

    keys: list[bytes]


@dataclass(frozen=True, slots=True)
class Totals:
    """Number of results, and their bytes."""


@dataclass(frozen=True, slots=True)
class Put:
    """Store frames."""

    frames: dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Delete:
    """Forget these; answered with how many there were."""

    keys: list[bytes]


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget all."""


@dataclass(frozen=True, slots=True)
class Close:
    """Write down what was used, and close the file."""


Operation = Get | Contains | Totals | Put | Delete | Clear | Close


class SqliteFile:
    """The file. See `sqlite.SqliteStore` for the arguments."""

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int, max_entries: int) -> None:
        self._path = Path(path)
        self._lock_path = Path(f"{self._path}-lock")
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._database: sqlite3.Connection | None = None
        self._lock: int | None = None
        self._retry_at = 0.0
        # Keys in the order of their last use.
        self._used: dict[bytes, None] = {}

    def check(self) -> None:
        """Open the file.

        Raises:
            StoreError: it cannot be opened, or is something else. One that others have locked is tried again later.
        """
        try:
            self._opened()
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, OSError) or _code(error) not in _LOCKED:
                raise self._failure(error) from error
            _log.warning("the cache %s is locked by another process; it is tried again later", self._path)

    def serve(self, jobs: Sequence[Job[Operation]]) -> None:
        """Do these, oldest first. Writes that follow each other are one transaction."""
        for writes, group in groupby(jobs, lambda job: isinstance(job.operation, Put | Delete | Clear)):
            together = list(group)
            if writes:
                self._answer(together)
            else:
                for job in together:
                    self._answer([job])

    def _answer(self, jobs: list[Job[Operation]]) -> None:
        try:
            results = self._do([job.operation for job in jobs])
        except (sqlite3.Error, OSError) as error:
            failure = self._recovered(error)
            for job in jobs:
                job.failed(failure)
        except StoreError as error:
            for job in jobs:
                job.failed(error)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.done(result)

    def _do(self, operations: list[Operation]) -> list[Any]:
        if isinstance(operations[0], Close):
            self._close()
            return [None]
        database = self._opened()
        match operations[0]:
            case Get(keys):
                return [self._get(database, keys)]
            case Contains(keys):
                return [{key for (key,) in _rows(database, "SELECT key FROM gp_cache WHERE key IN", keys)}]
            case Totals():
                return [database.execute("SELECT entries, bytes FROM gp_cache_total").fetchone()]
        with _transaction(database):
            self._note_uses(database)
            results = [self._write(database, operation) for operation in operations]
            self._shrink(database)
        return results

    def _get(self, database: sqlite3.Connection, keys: list[bytes]) -> dict[bytes, bytes]:
        select = "SELECT key, frame FROM gp_cache JOIN gp_cache_frame USING (id) WHERE key IN"
        rows = dict(_rows(database, select, keys))
        found = {key: rows[key] for key in keys if key in rows}
        for key in found:
            self._used.pop(key, None)
            self._used[key] = None
        if len(self._used) >= _USES_KEPT:
            # Reading must not fail for it: it stays to be written later.
            with contextlib.suppress(sqlite3.OperationalError), _transaction(database):
                self._note_uses(database)
        return found

    def _note_uses(self, database: sqlite3.Connection) -> None:
        if self._used:
            following = _last_use(database) + 1
            pairs = [(following + number, key) for number, key in enumerate(self._used)]
            database.executemany("UPDATE gp_cache SET used = ? WHERE key = ?", pairs)
            self._used.clear()

    def _write(self, database: sqlite3.Connection, operation: Operation) -> Any:
        if isinstance(operation, Clear):
            return database.execute("DELETE FROM gp_cache").rowcount
        if isinstance(operation, Delete):
            rows = [(key,) for key in operation.keys]
            return database.executemany("DELETE FROM gp_cache WHERE key = ?", rows).rowcount if rows else 0
        assert isinstance(operation, Put)
        used = _last_use(database)
        for key, frame in operation.frames.items():
            used += 1
            database.execute("DELETE FROM gp_cache WHERE key = ?", (key,))
            row = database.execute("INSERT INTO gp_cache (key, size, used) VALUES (?, ?, ?)", (key, len(frame), used))
            database.execute("INSERT INTO gp_cache_frame (id, frame) VALUES (?, ?)", (row.lastrowid, frame))
        return len(operation.frames)

    def _shrink(self, database: sqlite3.Connection) -> None:
        entries, size = database.execute("SELECT entries, bytes FROM gp_cache_total").fetchone()
        if entries <= self._max_entries and size <= self._max_bytes:
            return
        unwanted: list[tuple[int]] = []
        for row, its_size in database.execute("SELECT id, size FROM gp_cache ORDER BY used"):
            if entries <= self._max_entries and size <= self._max_bytes:
                break
            unwanted.append((row,))
            entries -= 1
            size -= its_size
        database.executemany("DELETE FROM gp_cache WHERE id = ?", unwanted)

    # Opening and closing

    def _opened(self) -> sqlite3.Connection:
        if self._database is not None:
            return self._database
        if time.monotonic() < self._retry_at:
            raise StoreError(f"the cache {str(self._path)!r} could not be opened a moment ago")
        self._retry_at = time.monotonic() + _RETRY_S
        known = self._lock_path.exists()
        try:
            self._database = self._connected()
        except sqlite3.Error as error:
            # A file beside which our lock lies was ours before it was damaged.
            if _code(error) not in _DAMAGED or not known:
                raise
            self._set_aside()
            self._database = self._connected()
        self._take_lock()
        return self._database

    def _connected(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            owner = database.execute("PRAGMA application_id").fetchone()[0]
            version = database.execute("PRAGMA user_version").fetchone()[0]
            tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if (owner != _APPLICATION_ID and (owner or tables)) or (tables and version != _SCHEMA_VERSION):
                what = "another version's cache" if owner == _APPLICATION_ID else "a database of something else"
                raise StoreError(f"{str(self._path)!r} is {what}; delete it, or give another path")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(f"PRAGMA journal_size_limit = {_KEPT_WAL_BYTES}")
            with _transaction(database):
                if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    for statement in _SCHEMA:
                        database.execute(statement)
        except BaseException:
            database.close()
            raise
        return database

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(sqlite3.Error), _transaction(database):
                self._note_uses(database)
            with contextlib.suppress(sqlite3.Error):
                database.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # Faults

    def _take_lock(self) -> None:
        """Say that this process uses the file, so that nobody sets it aside meanwhile."""
        if self._lock is None:
            self._lock = os.open(self._lock_path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        with contextlib.suppress(OSError):  # a file system without such locks: damaged files then stay where they are
            fcntl.flock(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def _recovered(self, error: sqlite3.Error | OSError) -> StoreError:
        """What to tell of an error; a damaged file is set aside, so that the next call finds a new one."""
        if isinstance(error, sqlite3.Error) and _code(error) in _DAMAGED:
            try:
                self._set_aside()
            except (StoreError, OSError) as failure:
                return failure if isinstance(failure, StoreError) else self._failure(failure)
        return self._failure(error)

    def _set_aside(self) -> None:
        """Rename the damaged file, unless somebody else uses it: the others' connections would write into the new one.

        Raises:
            StoreError: it is in use.
        """
        self._close()
        lock = os.open(self._lock_path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            aside = f"{self._path}.damaged"
            self._path.replace(aside)
            for suffix in ("-wal", "-shm"):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"the cache {str(self._path)!r} is damaged and in use by other processes; stop them, and delete it"
            ) from error
        finally:
            os.close(lock)
        self._retry_at = 0.0
        _log.warning("the cache %s was damaged; it was set aside as %s, and a new one is begun", self._path, aside)

    def _failure(self, error: sqlite3.Error | OSError) -> StoreError:
        code = _code(error) if isinstance(error, sqlite3.Error) else None
        if code in _LOCKED:
            return StoreError(f"the cache {str(self._path)!r} is locked by another process")
        if code == sqlite3.SQLITE_NOTADB:
            return StoreError(f"{str(self._path)!r} is no SQLite file; delete it, or give another path")
        return StoreError(f"the cache {str(self._path)!r} cannot be used: {error}")


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for errors that Python itself raises."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    # One that begins by reading and wants to write later may fail at once, however long it is ready to wait.
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise


def _last_use(database: sqlite3.Connection) -> int:
    last: int = database.execute("SELECT coalesce(max(used), 0) FROM gp_cache").fetchone()[0]
    return last


def _rows(database: sqlite3.Connection, select: str, keys: Iterable[bytes]) -> Iterator[tuple[Any, ...]]:
    waiting = iter(keys)
    while some := list(islice(waiting, _KEYS_PER_STATEMENT)):
        marks = ",".join("?" * len(some))
        yield from database.execute(f"{select} ({marks})", some)
