"""What ends an event loop by custom does not end an engine's."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from graphport.server.loop import EXIT_BROKEN, LastWords, new_loop, run_to_its_end

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(params=[asyncio.new_event_loop, new_loop], ids=["asyncio", "the engine's"])
def make_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    made: Callable[[], asyncio.AbstractEventLoop] = request.param
    return made


def test_exits_of_tasks_and_callbacks_are_borne(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    seen: list[str] = []

    async def child(error: BaseException) -> None:
        raise error

    async def main() -> int:
        loop = asyncio.get_running_loop()
        for error in (SystemExit(3), KeyboardInterrupt()):
            try:
                await loop.create_task(child(error))
            except BaseException as raised:
                seen.append(type(raised).__name__)
        loop.call_soon(sys.exit, 4)
        await asyncio.sleep(0.001)
        return 7

    loop = make_loop()
    try:
        assert run_to_its_end(loop, main()) == 7
    finally:
        loop.close()
    assert seen == ["SystemExit", "KeyboardInterrupt"]


def test_its_own_exit_is_not(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> int:
        sys.exit(5)

    loop = make_loop()
    try:
        with pytest.raises(SystemExit) as caught:
            run_to_its_end(loop, main())
    finally:
        loop.close()
    assert caught.value.code == 5


def test_what_is_thrown_in_the_turn_of_its_return_changes_nothing(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    def throw(_task: object) -> None:
        sys.exit(6)

    async def main() -> int:
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(throw)
        return 7

    loop = make_loop()
    try:
        assert run_to_its_end(loop, main()) == 7
    finally:
        loop.close()


def test_last_words_are_said_and_waited_for_out_of_reach_of_signal_handlers(
    make_loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphport.server.loop._MOST_AT_ONCE", 10)
    done: list[object] = []

    def interrupt(*_args: object) -> None:
        sys.exit(8)

    def say(reason: str) -> None:
        signal.raise_signal(signal.SIGALRM)
        done.append(reason)

    async def main() -> int:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_later(0.001, again)
            sys.exit(9)

        signal.signal(signal.SIGALRM, interrupt)
        loop.call_soon(again)
        await asyncio.sleep(3_600)
        return 0

    last_words = LastWords()
    last_words.say, last_words.drain = say, done.append
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    loop = make_loop()
    try:
        assert run_to_its_end(loop, main(), last_words) == EXIT_BROKEN
    finally:
        for number, handler in before.items():
            if callable(handler) or number == signal.SIGALRM:
                signal.signal(number, handler)
        loop.close()
    assert done == ["the engine cannot go on: a node interrupted it by SystemExit", 1.0]
