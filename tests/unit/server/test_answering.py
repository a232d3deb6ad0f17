"""Answers that take a while: worked out bit by bit, each in its turn, while the loop goes on."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.evaluation import turns

from graphport.core.errors import GraphportError, LookupFailed
from graphport.server.answering import Answering

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = pytest.mark.anyio


def busy(steps: int, told: list[str], name: str) -> Generator[None, None, str]:
    """Work that takes a turn's time in each step."""
    for _ in range(steps):
        told.append(name)
        until = perf_counter() + 0.0011
        while perf_counter() < until:
            pass
        yield
    return name


async def test_what_needs_but_a_moment_is_answered_at_once() -> None:
    answers: list[Any] = []

    def work() -> Generator[None, None, int]:
        yield
        return 5

    Answering().add(work(), answers.append)

    assert answers == [5]


async def test_long_ones_take_turns_with_each_other_and_with_the_loop() -> None:
    told: list[str] = []
    answers: list[Any] = []
    done = asyncio.Event()
    answering = Answering()

    def count() -> None:
        told.append("loop")
        if not done.is_set():
            asyncio.get_running_loop().call_soon(count)

    def last(answer: Any) -> None:
        answers.append(answer)
        done.set()

    answering.add(busy(3, told, "a"), answers.append)
    answering.add(busy(3, told, "b"), last)
    count()
    await done.wait()

    assert answers == ["a", "b"]
    assert [name for name in told if name != "loop"] == ["a", "a", "b", "a", "b", "b"]
    assert told.count("loop") >= 4


async def test_one_that_waits_for_something_takes_no_turns_meanwhile() -> None:
    answers: list[Any] = []
    awaited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    steps: list[str] = []

    def work() -> Generator[Any, None, str]:
        steps.append("asks")
        yield awaited
        steps.append("goes on")
        return "done"

    answering = Answering()
    answering.add(work(), answers.append)
    answering.add(busy(0, [], "other"), answers.append)
    await turns()
    assert (steps, answers) == (["asks"], ["other"])
    awaited.set_result(None)
    await turns()
    assert (steps, answers) == (["asks", "goes on"], ["other", "done"])


async def test_what_is_raised_is_the_answer_and_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Any] = []
    answering = Answering()

    def fails(error: Exception) -> Generator[None, None, None]:
        yield
        raise error

    answering.add(fails(LookupFailed("gone", code="unknown_session")), answers.append)
    answering.add(fails(ZeroDivisionError()), answers.append)
    answering.add(busy(0, [], "c"), answers.append)

    assert [answer.code for answer in answers if isinstance(answer, GraphportError)] == [
        "unknown_session",
        "internal_error",
    ]
    assert answers[2] == "c"
    assert "could not be answered" in caplog.text
