"""The option `cache`: what it may hold, and what is said when a store cannot be opened."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from graphport.app.cache import described_by, opened
from graphport.app.engine import Composition
from graphport.core.errors import GraphportError
from graphport.stores.filesystem import FilesystemStore
from graphport.stores.memory import MemoryStore
from graphport.stores.sqlite import SqliteStore
from graphport.testing.sink import RecordingSink

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_is_the_default() -> None:
    for option in (None, {}, {"store": None}):
        cache = opened(option)
        assert (cache.memo.max_bytes, cache.memo.max_entries) == (256 * 1024 * 1024, 1_000_000)
        assert cache.store is None


@pytest.mark.parametrize(
    ("kind", "expected"), [("sqlite", SqliteStore), ("filesystem", FilesystemStore), ("memory", MemoryStore)]
)
@pytest.mark.anyio
async def test_every_kind_is_opened_with_its_bounds(kind: str, expected: type, tmp_path: Path) -> None:
    store = {"kind": kind, "path": str(tmp_path / "results.db"), "max_bytes": 5_000, "max_entries": 7}
    cache = opened({"max_bytes": 1_000, "max_entries": 3, "store": store})

    assert (cache.memo.max_bytes, cache.memo.max_entries) == (1_000, 3)
    assert type(cache.store) is expected
    stats = await cache.store.stats()  # type: ignore[union-attr]
    assert (stats.max_bytes, stats.max_entries) == (5_000, 7)
    await cache.store.close()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ([], "option cache: expected a map, got list"),
        ({"max_byte": 1}, "there is no 'max_byte' in it; known are max_bytes, max_entries, store"),
        ({"max_bytes": 0}, "option cache.max_bytes: expected an integer from 1"),
        ({"max_entries": True}, "option cache.max_entries: expected an integer"),
        ({"store": "x.db"}, "option cache.store: expected a map, got str"),
        ({"store": {"path": "x"}}, "option cache.store.kind: expected one of memory, filesystem, sqlite, got None"),
        ({"store": {"kind": ["sqlite"], "path": "x"}}, "option cache.store.kind"),
        ({"store": {"kind": "sqlite"}}, "option cache.store.path: expected a path, got None"),
        ({"store": {"kind": "sqlite", "path": "a\0b"}}, "option cache.store.path"),
        ({"store": {"kind": "sqlite", "path": "x", "max_bytes": "1"}}, "option cache.store.max_bytes"),
    ],
)
def test_what_is_wrong_with_the_option_is_said(option: Any, said: str) -> None:
    with pytest.raises(GraphportError) as raised:
        opened(option)

    assert raised.value.code == "bad_message"
    assert said in raised.value.message


def _a_text(path: Path) -> None:
    path.write_text("my notes, which nobody may overwrite\n" * 100)


def _another_database(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE mine (x)")
    database.commit()
    database.close()


def _another_version(path: Path) -> None:
    cache = opened({"store": {"kind": "sqlite", "path": str(path)}})
    asyncio.run(cache.store.close())  # type: ignore[union-attr]
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.mkdir(), "cannot be used: unable to open database file"),
        (_a_text, "is no SQLite file; delete it, or give another path"),
        (_another_database, "is a database of something else; delete it, or give another path"),
        (_another_version, "is another version's cache; delete it, or give another path"),
    ],
)
def test_a_file_that_is_no_cache_is_left_alone(make: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""

    with pytest.raises(GraphportError) as raised:
        opened({"store": {"kind": "sqlite", "path": str(path)}})

    assert raised.value.code == "store_failed"
    assert str(path) in raised.value.message
    assert said in raised.value.message
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.parametrize("kind", ["sqlite", "filesystem"])
def test_a_path_that_cannot_be_made_is_said(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = str(tmp_path / "file" / "cache")

    with pytest.raises(GraphportError) as raised:
        opened({"store": {"kind": kind, "path": path}})

    assert raised.value.code == "store_failed"
    assert path in raised.value.message


@pytest.mark.parametrize(
    ("path", "kind"), [("a.db", "sqlite"), ("a.sqlite", "sqlite"), ("a", "filesystem"), ("a.db/", "filesystem")]
)
def test_a_typed_path_says_by_its_end_what_it_is(path: str, kind: str) -> None:
    assert described_by(path) == {"store": {"kind": kind, "path": path}}


def test_a_folder_is_a_folder_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.db").mkdir()

    assert described_by(os.fspath(tmp_path / "a.db"))["store"]["kind"] == "filesystem"


@pytest.mark.anyio
async def test_an_engine_is_started_with_it(tmp_path: Path) -> None:
    store = {"kind": "filesystem", "path": str(tmp_path)}
    evaluator = Composition(()).start(RecordingSink(), {"cache": {"max_entries": 5, "store": store}})

    assert evaluator.memo.max_entries == 5
    assert evaluator.stored is not None
    assert evaluator.stored.describe()["kind"] == "filesystem"
    await evaluator.close()
