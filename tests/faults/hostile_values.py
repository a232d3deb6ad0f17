"""Values from hell, by name, and nodes that give them: from a thread, from the loop, and as chunks."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import threading
from typing import Any, NoReturn
from unittest import mock

from graphport import RunContext, ThreadRunContext, node


class _Raising:
    def __eq__(self, other: object) -> NoReturn:
        raise ValueError("compared")

    def __hash__(self) -> NoReturn:
        raise ValueError("hashed")

    def __repr__(self) -> NoReturn:
        raise ValueError("shown")

    __len__ = __iter__ = __bool__ = __sizeof__ = __hash__


class _HugeRepr:
    def __repr__(self) -> str:
        return "x" * 50_000_000


class _NoClass:
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise SystemExit("no class")


class _ExitingMap(dict[str, Any]):
    def keys(self) -> NoReturn:
        raise SystemExit(6)

    __iter__ = items = values = keys


class _GrowingItem(list[Any]):
    def __init__(self, parent: list[Any]) -> None:
        super().__init__()
        self.parent = parent

    def __iter__(self) -> Any:
        self.parent.append(1)
        return iter([1, 2])


def _cycle() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def _deep(levels: int, wrap: Any) -> Any:
    made: Any = 1
    for _ in range(levels):
        made = wrap(made)
    return made


def _growing() -> list[Any]:
    made: list[Any] = [1, 2]
    made.append(_GrowingItem(made))
    return made


VALUES: dict[str, Any] = {
    "raising object": _Raising,
    "object with a huge repr": _HugeRepr,
    "object without a class": _NoClass,
    "map that exits": lambda: _ExitingMap(a=1),
    "list with a map that exits": lambda: [1, _ExitingMap(a=1)],
    "cyclic list": _cycle,
    "cyclic tuple": lambda: (_cycle(),),
    "generator": lambda: (number for number in range(3)),
    "surrogate": lambda: "\ud800",
    "surrogate key": lambda: {"\udfff": 1},
    "tuple key": lambda: {(1, 2): 3},
    "object key": lambda: {object(): 3},
    "too big an integer": lambda: 1 << 100_000,
    "a million lists deep": lambda: _deep(1_000_000, lambda inner: [inner]),
    "a million maps deep": lambda: _deep(1_000_000, lambda inner: {"a": inner}),
    "a hundred thousand tuples deep": lambda: _deep(100_000, lambda inner: (inner,)),
    "class": lambda: int,
    "module": lambda: os,
    "lock": threading.Lock,
    "mock of anything": mock.MagicMock,
    "mock of a text": lambda: mock.MagicMock(spec=str),
    "complex": lambda: 1j,
    "time with a zone": lambda: dt.time(1, 2, tzinfo=dt.UTC),
    "exception": lambda: ValueError("x"),
    "list that grows while it is written": _growing,
}
# What a node returns is copied, which ends their tricks. Chunks are not.
SOUND_AS_COPIES = {"list that grows while it is written"}
# These have a form on the wire.
FINE: dict[str, Any] = {
    "mock of a map": lambda: mock.MagicMock(spec=dict),
    "NaN keys": lambda: {float("nan"): 1, float("-nan"): 2},
    "date at the end": lambda: dt.date.max,
    "empty of every kind": lambda: [(), [], {}, set(), b"", "", None],
}


@node
def gives_from_a_thread(what: str) -> Any:
    return (VALUES | FINE)[what]()


@node(execution="inline")
def gives_on_the_loop(what: str) -> Any:
    return (VALUES | FINE)[what]()


@node
async def gives_after_a_wait(what: str) -> Any:
    await asyncio.sleep(0)
    return (VALUES | FINE)[what]()


@node(outputs={"value": Any}, stream=True)
async def streams_on_the_loop(what: str, ctx: RunContext) -> dict[str, Any]:
    await ctx.stream("value", (VALUES | FINE)[what]())
    return {"value": "streamed"}


@node(outputs={"value": Any}, stream=True)
def streams_from_a_thread(what: str, ctx: ThreadRunContext) -> dict[str, Any]:
    ctx.stream("value", (VALUES | FINE)[what]())
    return {"value": "streamed"}


@node(outputs={"value": Any})
def returns_a_map_that_exits() -> Any:
    return _ExitingMap(value=1)
