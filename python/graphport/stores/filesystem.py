"""Results as files in a folder, one each, written aside and renamed, so that a reader sees a whole one or none.

Nothing is flushed to disk before it is renamed: what a power failure tears is found broken by its check sum, and is
then a miss. How long ago a file was used is its modification time. Every process that uses the folder sees all files;
what they take together is counted anew when this one's count says that it is too much, and every so many results.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphport.contracts.cache_store import DEFAULT_STORE_BYTES, DEFAULT_STORE_ENTRIES, StoreStats
from graphport.core.errors import StoreError
from graphport.stores.packing import packed_in_turns, unpacked_in_turns
from graphport.stores.worker_thread import StoreThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from graphport.contracts.cache_store import CacheStore, StoredResult
    from graphport.stores.worker_thread import Job

# Another way to lay results out gets another folder, and does not meet these.
_FOLDER: Final = "graphport-cache-1"
_SUFFIX: Final = ".result"
_UNFINISHED: Final = ".unfinished"
# Files that a killed process was writing go after so long.
_ABANDONED_S: Final = 600.0
_LONGEST_KEY_BYTES: Final = 64
# After so many results at the least, other processes' are counted too.
_COUNT_EVERY: Final = 256


class FilesystemStore:
    """A store as `contracts.cache_store.CacheStore` says.

    Args:
        path: a folder, made if there is none; the results go into a folder of their own in it.
        max_bytes: bytes of all files together.
        max_entries: number of files.
    """

    kind: Final = "filesystem"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = DEFAULT_STORE_BYTES,
        max_entries: int = DEFAULT_STORE_ENTRIES,
    ) -> None:
        self._path = Path(path)
        self._refused = self._damaged = 0
        self._folder = _Folder(self._path / _FOLDER, max_bytes, max_entries)
        self._thread: StoreThread[Callable[[], Any]] = StoreThread(_run_all)

    def open(self) -> None:
        """See whether the folder can be used. Blocks; to be called before the event loop matters.

        Raises:
            StoreError: it cannot be made, or not be written to.
        """
        try:
            self._folder.root.mkdir(parents=True, exist_ok=True)
            probe = self._folder.root / f"{os.getpid()}{_UNFINISHED}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise StoreError(
                f"the cache's folder {str(self._path)!r} cannot be used: {error.strerror or error}; "
                "give a folder that can be written to"
            ) from error

    async def get_many(self, keys: Iterable[bytes]) -> dict[bytes, StoredResult]:
        """See `CacheStore.get_many`."""
        wanted = list(keys)
        frames: dict[bytes, bytes] = await self._thread.do(lambda: self._folder.read(wanted))
        results, damaged = await unpacked_in_turns(frames)
        if damaged:
            self._damaged += len(damaged)
            await self._thread.do(lambda: self._folder.remove_broken({key: frames[key] for key in damaged}))
        return results

    async def contains_many(self, keys: Iterable[bytes]) -> set[bytes]:
        """See `CacheStore.contains_many`."""
        wanted = list(keys)
        found: set[bytes] = await self._thread.do(lambda: self._folder.having(wanted))
        return found

    async def put_many(self, results: Mapping[bytes, StoredResult]) -> int:
        """See `CacheStore.put_many`."""
        frames, refused = await packed_in_turns(results, self._folder.max_bytes)
        self._refused += refused
        await self._thread.do(lambda: self._folder.write(frames))
        return len(frames)

    async def delete_many(self, keys: Iterable[bytes]) -> int:
        """See `CacheStore.delete_many`."""
        unwanted = list(keys)
        removed: int = await self._thread.do(lambda: self._folder.remove(unwanted))
        return removed

    async def clear(self) -> None:
        """See `CacheStore.clear`."""
        await self._thread.do(self._folder.clear)

    async def stats(self) -> StoreStats:
        """See `CacheStore.stats`. Counts the files."""
        entries, size = await self._thread.do(self._folder.count)
        return StoreStats(
            entries=entries,
            size_bytes=size,
            max_bytes=self._folder.max_bytes,
            max_entries=self._folder.max_entries,
            refused=self._refused,
            damaged=self._damaged,
        )

    async def close(self) -> None:
        """See `CacheStore.close`."""
        self._thread.end()


def _run_all(jobs: Sequence[Job[Callable[[], Any]]]) -> None:
    for job in jobs:
        try:
            result = job.operation()
        except OSError as error:
            job.failed(StoreError(f"the cache's folder cannot be used: {error}"))
        else:
            job.done(result)


class _File(NamedTuple):
    used_ns: int
    size: int
    path: str


class _Folder:
    """The files. Every method runs on the store's thread, and may raise `OSError`."""

    def __init__(self, root: Path, max_bytes: int, max_entries: int) -> None:
        self.root = root
        self.max_bytes = max_bytes
        self.max_entries = max_entries
        self._entries = self._bytes = 0
        self._until_count = 0
        self._last_ns = 0
        self._names = itertools.count()

    def read(self, keys: list[bytes]) -> dict[bytes, bytes]:
        frames: dict[bytes, bytes] = {}
        for key in keys:
            path = self._place(key)
            # Whoever removes it, or whatever else keeps it from being read: it is not there.
            with contextlib.suppress(OSError):
                frames[key] = path.read_bytes()
                os.utime(path, ns=(now := self._now_ns(), now))
        return frames

    def having(self, keys: list[bytes]) -> set[bytes]:
        return {key for key in keys if self._place(key).exists()}

    def write(self, frames: dict[bytes, bytes]) -> None:
        for key, frame in frames.items():
            path = self._place(key)
            aside = self.root / f"{os.getpid()}-{next(self._names)}{_UNFINISHED}"
            try:
                aside.write_bytes(frame)
                os.utime(aside, ns=(now := self._now_ns(), now))
                path.parent.mkdir(exist_ok=True)
                aside.replace(path)
            except OSError:
                with contextlib.suppress(OSError):
                    aside.unlink()
                raise
            # One that was replaced counts twice until the files are counted.
            self._entries += 1
            self._bytes += len(frame)
            self._until_count -= 1
            if self._until_count < 0 or self._entries > self.max_entries or self._bytes > self.max_bytes:
                self._shrink()

    def remove(self, keys: Iterable[bytes]) -> int:
        removed = 0
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                self._place(key).unlink()
                removed += 1
        return removed

    def remove_broken(self, frames: dict[bytes, bytes]) -> None:
        """Remove what was read broken, unless another process has replaced it."""
        self.remove([key for key, frame in frames.items() if self.read([key]).get(key) == frame])

    def clear(self) -> None:
        for file in self._files():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file.path)
        self._entries = self._bytes = 0

    def count(self) -> tuple[int, int]:
        self._entries = self._bytes = 0
        for file in self._files():
            self._entries += 1
            self._bytes += file.size
        return self._entries, self._bytes

    def _shrink(self) -> None:
        """Count the files, and remove those used longest ago if there are too many: more than must, to do it seldom."""
        files = list(self._files())
        entries, size = len(files), sum(file.size for file in files)
        if entries > self.max_entries or size > self.max_bytes:
            most_entries = self.max_entries - self.max_entries // 10
            most_bytes = self.max_bytes - self.max_bytes // 10
            files.sort()
            for file in files:
                # The last one stays as long as it may.
                fits = entries <= most_entries and size <= most_bytes
                if fits or (entries == 1 and size <= self.max_bytes):
                    break
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(file.path)
                entries -= 1
                size -= file.size
        self._entries, self._bytes = entries, size
        self._until_count = max(_COUNT_EVERY, entries // 10)
        self._remove_abandoned()

    def _files(self) -> Iterator[_File]:
        for folder in os.scandir(self.root):
            if not folder.is_dir(follow_symlinks=False):
                continue
            for file in os.scandir(folder):
                if file.name.endswith(_SUFFIX):
                    with contextlib.suppress(FileNotFoundError):
                        about = file.stat(follow_symlinks=False)
                        yield _File(about.st_mtime_ns, about.st_size, file.path)

    def _remove_abandoned(self) -> None:
        before = time.time() - _ABANDONED_S
        for file in os.scandir(self.root):
            if file.name.endswith(_UNFINISHED):
                with contextlib.suppress(FileNotFoundError):
                    if file.stat().st_mtime < before:
                        os.unlink(file.path)

    def _place(self, key: bytes) -> Path:
        if not 0 < len(key) <= _LONGEST_KEY_BYTES:
            raise StoreError(f"a key has 1 to {_LONGEST_KEY_BYTES} bytes, got {len(key)}")
        name = key.hex()
        return self.root / name[:2] / (name + _SUFFIX)

    def _now_ns(self) -> int:
        """The time, later than any before: of files used at once the order must be known."""
        self._last_ns = max(self._last_ns + 1, time.time_ns())
        return self._last_ns


if TYPE_CHECKING:

    def _is_store(store: FilesystemStore) -> CacheStore:
        return store
