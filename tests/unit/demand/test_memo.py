"""The cache by itself: bounds, order of leaving, and what lies beside a result."""

from __future__ import annotations

from typing import Any

from graphport.demand.memo import Memo
from graphport.graph.values import own_copy, size_of


def test_the_least_recently_used_leaves_first() -> None:
    memo = Memo(max_entries=2)
    memo.put(b"a", {"v": 1})
    memo.put(b"b", {"v": 2})
    memo.get(b"a")
    memo.put(b"c", {"v": 3})

    assert [memo.get(key) for key in (b"a", b"b", b"c")] == [{"v": 1}, None, {"v": 3}]


def test_bytes_come_back_when_results_leave_or_are_replaced() -> None:
    memo = Memo(max_bytes=100_000)
    for round_ in range(50):
        memo.put(round_.to_bytes(2, "big"), {"v": "x" * 9_000}, [("v", "y" * 1_000)])
        memo.put(b"same", {"v": "x" * round_})
        assert memo.bytes <= 100_000
    memo.put(b"same", {"v": 1})
    full = memo.bytes

    memo.clear()

    assert full > 50_000
    assert (memo.bytes, len(memo)) == (0, 0)
    assert memo.chunks(b"same") is None


def test_chunks_leave_with_their_result() -> None:
    memo = Memo(max_entries=1)
    memo.put(b"a", {"v": 1}, [("v", "text")])
    kept = memo.chunks(b"a")
    memo.put(b"b", {"v": 1})

    assert kept == [("v", "text")]
    assert memo.chunks(b"a") is None


def test_a_result_put_anew_has_the_new_digest() -> None:
    memo = Memo()
    memo.put(b"a", {"v": 1})
    old = memo.digest_of(b"a", "v", {"v": 1})
    memo.put(b"a", {"v": 2})

    assert memo.digest_of(b"a", "v", {"v": 2}) != old


def test_chunks_larger_than_the_cache_do_not_break_its_bound() -> None:
    memo = Memo(max_bytes=10_000)

    memo.put(b"a", {"v": 1}, [("v", "x" * 20_000)])

    assert memo.bytes <= 10_000
    assert (len(memo) == 0) == (memo.chunks(b"a") is None)


def test_shared_parts_are_measured_once_and_circles_end() -> None:
    part = ["x" * 10_000]
    circle: list[Any] = [part, part, {"again": part}]
    circle.append(circle)

    assert 10_000 < size_of(circle) < 12_000


def test_a_copy_shares_nothing_that_can_change() -> None:
    value = {"list": [[1]], "tuple": ([2], {"a": [3]}), "set": {4}, "bytes": bytearray(b"5")}

    copied = own_copy(value)

    assert copied == value
    assert copied["list"][0] is not value["list"][0]  # type: ignore[index]
    assert copied["tuple"][1]["a"] is not value["tuple"][1]["a"]  # type: ignore[index]
    assert copied["set"] is not value["set"]
    assert copied["bytes"] is not value["bytes"]
