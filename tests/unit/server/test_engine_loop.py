"""What ends an event loop by custom does not end an engine's."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from graphport.server.loop import EXIT_BROKEN, LastWords, new_loop, run_to_its_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(params=[asyncio.new_event_loop, new_loop], ids=["asyncio", "the engine's"])
def make_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    made: Callable[[], asyncio.AbstractEventLoop] = request.param
    return made


def end(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait(tasks))
    loop.close()


@pytest.fixture
def handlers() -> Iterator[None]:
    """Signal handlers are afterwards as they were."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)


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


@pytest.mark.usefixtures("handlers")
def test_last_words_are_said_and_waited_for_out_of_reach_of_signal_handlers(
    make_loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphport.server.loop._MOST_AT_ONCE", 10)
    done: list[object] = []

    def interrupt(*_args: object) -> None:
        sys.exit(8)

    def say(reason: str) -> None:
        signal.raise_signal(signal.SIGUSR1)
        done.append(reason)

    async def main() -> int:
        loop = asyncio.get_running_loop()

        def again() -> None:
            if not done:
                loop.call_later(0.001, again)
                sys.exit(9)

        signal.signal(signal.SIGUSR1, interrupt)
        loop.call_soon(again)
        await asyncio.sleep(3_600)
        return 0

    last_words = LastWords()
    last_words.say, last_words.drain = say, done.append
    loop = make_loop()
    try:
        assert run_to_its_end(loop, main(), last_words) == EXIT_BROKEN
    finally:
        end(loop)
    assert done == ["the engine cannot go on: a node interrupted it by SystemExit", 1.0]


@pytest.mark.usefixtures("handlers")
def test_an_engine_that_is_interrupted_while_it_bears_an_interruption_says_so(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    done: list[object] = []

    class Interrupts(logging.Handler):
        def emit(self, _record: logging.LogRecord) -> None:
            raise KeyboardInterrupt

    async def main() -> int:
        asyncio.get_running_loop().call_soon(sys.exit, 9)
        await asyncio.sleep(3_600)
        return 0

    last_words = LastWords()
    last_words.say, last_words.drain = done.append, done.append
    logger, handler = logging.getLogger("graphport.loop"), Interrupts()
    logger.addHandler(handler)
    loop = make_loop()
    try:
        assert run_to_its_end(loop, main(), last_words) == EXIT_BROKEN
    finally:
        logger.removeHandler(handler)
        end(loop)
    assert done == ["the engine cannot go on: a node interrupted it by KeyboardInterrupt", 1.0]
