"""Stores whose processes are killed, whose files are damaged or locked: what is there is whole, or it is a miss."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.store.enrolled import STORES, Enrolled

from graphport.contracts.cache_store import StoredResult
from graphport.core.errors import StoreError
from graphport.stores import filesystem, sqlite_file
from graphport.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from graphport.contracts.cache_store import CacheStore

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]

# Puts pairs of results that belong together, for ever, and says after each how many there are.
WRITER = """
import asyncio, sys
from pathlib import Path
from tests.conformance.store.enrolled import STORES
from graphport.contracts.cache_store import StoredResult

async def main():
    kind = next(one for one in STORES if one.file == sys.argv[1])
    store = await kind.make(Path(sys.argv[2]), max_bytes=2_000_000, max_entries=500)
    for number in range(int(sys.argv[3]), 2**31):
        value = str(number) * 400
        await store.put_many({
            number.to_bytes(16, "big"): StoredResult(outputs={"v": value, "of": number}),
            b"other" + number.to_bytes(11, "big"): StoredResult(outputs={"v": value, "of": number}),
        })
        print(number, flush=True)

asyncio.run(main())
"""


def writer(kind: Enrolled, folder: Path, first: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, kind.file, str(folder), str(first)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'python'}"},
    )


def killed_at(process: subprocess.Popen[str], count: int) -> int:
    """Kill a writer once it has said so many numbers; returns the last one it said."""
    assert process.stdout is not None
    for _ in range(count):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    said = process.stdout.read().split()
    process.wait(10)
    process.stdout.close()
    return int(said[-1]) if said else -1


durable = pytest.mark.parametrize(
    "kind", [one for one in STORES if one.durable], ids=lambda one: one.file.partition(".")[0]
)


@pytest.mark.parametrize("rounds", [1, pytest.param(12, marks=pytest.mark.slow)])
@durable
async def test_killed_writers_leave_nothing_half(kind: Enrolled, rounds: int, tmp_path: Path) -> None:
    for round_ in range(rounds):
        # Two at once, so that one writes while the other dies.
        processes = [writer(kind, tmp_path, (2 * round_ + which) * 1_000_000) for which in range(2)]
        lasts = [await asyncio.to_thread(killed_at, process, 5 + 17 * round_) for process in processes]

        store = await kind.make(tmp_path, max_bytes=2_000_000, max_entries=500)
        keys = [number.to_bytes(16, "big") for last in lasts for number in range(max(0, last - 20), last + 3)]
        found = await store.get_many(keys)
        assert all(result.outputs["v"] == str(result.outputs["of"]) * 400 for result in found.values())
        assert all(last.to_bytes(16, "big") in found for last in lasts[1:] if last >= 0)
        stats = await store.stats()
        assert stats.damaged == 0
        assert stats.entries > 0
        await store.put_many({b"after" * 3: StoredResult(outputs={"v": round_})})
        assert (await store.get_many([b"after" * 3]))[b"after" * 3].outputs == {"v": round_}
        await store.close()
    if kind.file == "sqlite.py":
        with closing(sqlite3.connect(tmp_path / "results.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            (entries, size), (counted, summed) = (
                database.execute("SELECT entries, bytes FROM gp_cache_total").fetchone(),
                database.execute("SELECT count(*), sum(size) FROM gp_cache").fetchone(),
            )
            assert (entries, size) == (counted, summed)
            assert database.execute("SELECT count(*) FROM gp_cache_frame").fetchone() == (counted,)


async def put(store: CacheStore, *keys: bytes) -> None:
    await store.put_many({key: StoredResult(outputs={"v": key.decode() * 5_000}) for key in keys})


def frames(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.result"))


@pytest.mark.parametrize("damage", ["torn", "empty", "altered", "foreign"])
async def test_a_damaged_file_of_a_folder_is_a_miss_and_removed(damage: str, tmp_path: Path) -> None:
    kind = next(one for one in STORES if one.file == "filesystem.py")
    store = await kind.make(tmp_path)
    await put(store, b"a", b"b")

    def spoil() -> None:
        victim = next(path for path in frames(tmp_path) if path.stem == b"a".hex())
        whole = victim.read_bytes()
        broken = {"torn": whole[: len(whole) // 2], "empty": b"", "foreign": b"my notes", "altered": b""}[damage]
        victim.write_bytes(broken if damage != "altered" else whole[:-9] + b"X" + whole[-8:])

    await asyncio.to_thread(spoil)

    assert set(await store.get_many([b"a", b"b"])) == {b"b"}
    assert (await store.stats()).damaged == 1
    assert len(await asyncio.to_thread(frames, tmp_path)) == 1
    await store.close()


async def test_what_a_killed_process_was_writing_is_removed_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "_COUNT_EVERY", 1)
    kind = next(one for one in STORES if one.file == "filesystem.py")
    store = await kind.make(tmp_path)
    (root,) = [path for path in (tmp_path / "results").iterdir() if path.is_dir()]
    old, new = root / "1-1.unfinished", root / "1-2.unfinished"
    for path in (old, new):
        await asyncio.to_thread(path.write_bytes, b"half")
    os.utime(old, (1, 1))
    for number in range(5):
        await put(store, bytes([65 + number]))

    assert not await asyncio.to_thread(old.exists)
    assert await asyncio.to_thread(new.exists)
    await store.close()


async def test_a_damaged_database_is_set_aside_and_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "results.db"
    store = await _filled(path)
    await store.close()
    await asyncio.to_thread(_overwrite, path, 4_096, 40_000)

    store = SqliteStore(path)
    await asyncio.to_thread(store.open)
    with pytest.raises(StoreError) as raised:
        await store.get_many([b"a"])
    assert raised.value.code == "store_failed"
    await put(store, b"c")

    assert set(await store.get_many([b"a", b"c"])) == {b"c"}
    assert await asyncio.to_thread(Path(f"{path}.damaged").exists)
    assert "was damaged; it was set aside" in caplog.text
    await store.close()


async def test_a_database_whose_header_is_damaged_is_set_aside_if_it_was_ours(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    store = await _filled(path)
    await store.close()
    await asyncio.to_thread(_overwrite, path, 0, 2_000)

    store = SqliteStore(path)
    await asyncio.to_thread(store.open)

    assert await store.contains_many([b"a"]) == set()
    assert await asyncio.to_thread(Path(f"{path}.damaged").exists)
    await store.close()


async def test_a_damaged_database_that_others_use_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    store = await _filled(path)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys; from graphport.stores.sqlite import SqliteStore as S; s = S(sys.argv[1]); s.open(); "
        "print('open', flush=True); sys.stdin.read()",
        str(path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"open\n"
    await asyncio.to_thread(_checkpoint_and_overwrite, path)
    await store.close()
    store = SqliteStore(path)
    await asyncio.to_thread(store.open)

    with pytest.raises(StoreError) as raised:
        await store.get_many([b"a"])

    assert "damaged and in use by other processes" in raised.value.message
    assert not await asyncio.to_thread(Path(f"{path}.damaged").exists)
    await store.close()
    await process.communicate(b"")


async def test_a_locked_database_is_an_error_soon_and_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite_file, "_BUSY_S", 0.01)
    monkeypatch.setattr(sqlite_file, "_RETRY_S", 0.0)
    path = tmp_path / "results.db"
    store = await _filled(path)
    other = await asyncio.to_thread(_locked, path)

    with pytest.raises(StoreError) as raised:
        await put(store, b"c")
    assert "is locked by another process" in raised.value.message
    late = SqliteStore(path)
    await asyncio.to_thread(late.open)  # says so in the log, and tries again later
    with pytest.raises(StoreError):
        await put(late, b"d")

    await asyncio.to_thread(other.close)
    await put(store, b"c")
    await put(late, b"d")
    assert set(await late.get_many([b"a", b"c", b"d"])) == {b"a", b"c", b"d"}
    for one in (store, late):
        await one.close()


async def test_a_full_disk_is_an_error_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    store = await _filled(path)

    def fill() -> None:
        database = store._file._database
        assert database is not None
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages}")

    await asyncio.to_thread(fill)
    with pytest.raises(StoreError) as raised:
        await put(store, *(bytes([100 + number]) for number in range(10)))

    assert "full" in raised.value.message
    assert set(await store.get_many([b"a", b"b"])) == {b"a", b"b"}
    await store.close()


async def test_a_folder_that_goes_away_is_an_error_and_not_a_fault(tmp_path: Path) -> None:
    kind = next(one for one in STORES if one.file == "filesystem.py")
    store = await kind.make(tmp_path)
    await put(store, b"a")
    await asyncio.to_thread((tmp_path / "results").rename, tmp_path / "moved")

    assert await store.get_many([b"a"]) == {}
    with pytest.raises(StoreError) as raised:
        await put(store, b"b")
    assert raised.value.code == "store_failed"
    await store.close()


async def _filled(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    await asyncio.to_thread(store.open)
    await put(store, b"a", b"b")
    return store


def _overwrite(path: Path, first: int, count: int) -> None:
    with path.open("r+b") as file:
        file.seek(first)
        file.write(b"\xa5" * count)


def _checkpoint_and_overwrite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _overwrite(path, 4_096, 40_000)


def _locked(path: Path) -> Any:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other
