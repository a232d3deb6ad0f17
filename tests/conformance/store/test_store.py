"""What every store does: it gives back what was put or nothing, keeps its bounds, and forgets the oldest first."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

import pytest

from graphport.contracts.cache_store import MAX_ENTRY_BYTES, StoredResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from graphport.contracts.cache_store import CacheStore

pytestmark = pytest.mark.anyio


class Odd(dict[str, Any]):
    """Would be read as a plain map."""


def result(value: Any, **more: Any) -> StoredResult:
    return StoredResult(outputs={"v": value}, **more)


async def values(store: CacheStore, *keys: bytes) -> list[Any]:
    """What the store has of these, None for what it has not."""
    found = await store.get_many(keys)
    return [found[key].outputs["v"] if key in found else None for key in keys]


async def test_a_result_comes_back_as_it_was_put(store: CacheStore) -> None:
    put = StoredResult(
        outputs={"text": "grüß", "more": [1, {"a": (2.5, None)}]},
        chunks=[("text", "gr"), ("text", "üß"), ("more", [1])],
        node_type="greets",
        created_s=1.5,
    )

    assert await store.put_many({b"k" * 16: put}) == 1
    found = (await store.get_many([b"k" * 16]))[b"k" * 16]

    assert (found.outputs, found.chunks, found.node_type, found.created_s) == (
        put.outputs,
        put.chunks,
        "greets",
        1.5,
    )
    assert found.size_bytes == (await store.stats()).size_bytes > 0


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * 100_000,
        b"\x00\xff",
        2**80,
        -(2**63),
        0.1,
        math.inf,
        True,
        None,
        [],
        {},
        {1: "one", False: "no", None: 0, b"k": 1},
        (1, (2, [3])),
        {1, "a", (2,)},
        dt.datetime(2026, 2, 3, 4, 5, 6, 7),
        dt.datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=dt.UTC),
        dt.date(1, 1, 1),
        dt.time(1, 2, 3, 4),
    ],
    ids=repr,
)
async def test_plain_values_are_the_same_and_of_the_same_type(store: CacheStore, value: Any) -> None:
    await store.put_many({b"k": result(value)})

    (found,) = await values(store, b"k")

    assert found == value
    assert type(found) is type(value)
    assert repr(found) == repr(value) or isinstance(value, set)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        frozenset({1}),
        bytearray(b"x"),
        memoryview(b"x"),
        Odd(a=1),
        [Odd()],
        {"deep": [(Odd(),)]},
        dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        "\ud800",
        {(1, 2): 3},
        1 + 2j,
    ],
    ids=repr,
)
async def test_what_would_not_come_back_the_same_is_not_stored(store: CacheStore, value: Any) -> None:
    stored = await store.put_many({b"odd": result(value), b"plain": result(1)})

    assert stored == 1
    assert await values(store, b"odd", b"plain") == [None, 1]
    assert (await store.stats()).refused == 1


async def test_chunks_count_like_outputs(store: CacheStore) -> None:
    await store.put_many({b"odd": result(1, chunks=[("v", object())])})

    assert await values(store, b"odd") == [None]


async def test_circles_and_values_with_very_many_parts_are_not_stored(store: CacheStore) -> None:
    circle: list[Any] = []
    circle.append(circle)
    doubled: Any = []
    for _ in range(60):
        doubled = [doubled, doubled]

    assert await store.put_many({b"a": result(circle), b"b": result(doubled)}) == 0


async def test_a_result_over_the_limit_is_not_stored(
    store: CacheStore, small: Callable[..., Awaitable[CacheStore]]
) -> None:
    assert await store.put_many({b"a": result(b"x" * MAX_ENTRY_BYTES)}) == 0
    await store.close()

    store = await small(max_bytes=1_000)

    assert await store.put_many({b"a": result("x" * 2_000)}) == 0
    assert await store.put_many({b"a": result("x" * 500)}) == 1
    await store.close()


async def test_nobody_shares_what_was_put_or_found(store: CacheStore) -> None:
    mine = [1]
    await store.put_many({b"a": result(mine)})
    mine.append(2)
    (found,) = await values(store, b"a")
    found.append(3)

    assert await values(store, b"a") == [[1]]


async def test_a_result_put_again_replaces_the_first(store: CacheStore) -> None:
    await store.put_many({b"a": result("first" * 100)})
    await store.put_many({b"a": result("second")})

    assert await values(store, b"a") == ["second"]
    stats = await store.stats()
    assert stats.entries == 1
    assert stats.size_bytes < 200


async def test_what_is_deleted_is_gone(store: CacheStore) -> None:
    await store.put_many({key: result(1) for key in (b"a", b"b", b"c")})

    assert await store.delete_many([b"a", b"c", b"never"]) == 2
    assert await store.contains_many([b"a", b"b", b"c"]) == {b"b"}

    await store.clear()

    assert await store.contains_many([b"a", b"b", b"c"]) == set()
    stats = await store.stats()
    assert (stats.entries, stats.size_bytes) == (0, 0)


async def test_nothing_is_asked_for_and_nothing_comes(store: CacheStore) -> None:
    assert await store.get_many([]) == {}
    assert await store.contains_many([]) == set()
    assert await store.put_many({}) == 0
    assert await store.delete_many([]) == 0


async def test_many_keys_are_asked_for_at_once(store: CacheStore) -> None:
    keys = [number.to_bytes(16, "big") for number in range(1_500)]
    await store.put_many({key: result(key) for key in keys[::2]})

    assert await store.contains_many(keys) == set(keys[::2])
    assert set(await store.get_many(keys)) == set(keys[::2])


async def test_what_was_used_longest_ago_leaves_first(small: Callable[..., Awaitable[CacheStore]]) -> None:
    store = await small(max_entries=3)
    for key in (b"a", b"b", b"c"):
        await store.put_many({key: result(1)})
    await store.get_many([b"a"])
    await store.contains_many([b"b"])
    await store.put_many({b"d": result(1)})
    await store.put_many({b"e": result(1)})

    assert await store.contains_many([b"a", b"b", b"c", b"d", b"e"]) == {b"a", b"d", b"e"}
    await store.close()


async def test_bytes_are_bounded(small: Callable[..., Awaitable[CacheStore]]) -> None:
    store = await small(max_bytes=50_000)
    for number in range(100):
        await store.put_many({bytes([number]): result("x" * 3_000)})
        assert (await store.stats()).size_bytes <= 50_000

    assert await values(store, bytes([99])) == ["x" * 3_000]
    assert (await store.stats()).entries >= 12
    await store.close()


async def test_closing_twice_is_well_and_what_was_put_stays(durable: Any, tmp_path: Any) -> None:
    store = await durable.make(tmp_path)
    await store.put_many({b"a": result(1)})
    await store.close()
    await store.close()

    store = await durable.make(tmp_path)

    assert await values(store, b"a") == [1]
    await store.close()


async def test_two_that_share_a_place_see_each_others_results(durable: Any, tmp_path: Any) -> None:
    one, other = await durable.make(tmp_path), await durable.make(tmp_path)
    await one.put_many({b"a": result(1)})
    assert await values(other, b"a") == [1]
    await other.put_many({b"a": result(2), b"b": result(3)})

    assert await values(one, b"a", b"b") == [2, 3]

    await one.clear()

    assert await values(other, b"a", b"b") == [None, None]
    await one.close()
    await other.put_many({b"c": result(4)})
    assert await values(other, b"c") == [4]
    await other.close()


async def test_uses_are_known_to_whoever_opens_it_next(durable: Any, tmp_path: Any) -> None:
    store = await durable.make(tmp_path, max_entries=2)
    await store.put_many({b"a": result(1), b"b": result(2)})
    await store.get_many([b"a"])
    await store.close()

    store = await durable.make(tmp_path, max_entries=2)
    await store.put_many({b"c": result(3)})

    # A new one counts what there is at its first result or, at the latest, with its next figures.
    await store.stats()
    await store.put_many({b"d": result(4)})
    assert await values(store, b"b") == [None]
    assert await values(store, b"d") == [4]
    await store.close()
