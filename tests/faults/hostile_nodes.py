"""Nodes that do what no node should, which an engine outlives. One function here, one line in `test_hostile_nodes`."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import locale
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from typing import Any, NoReturn

from graphport import GraphportError, RunContext, node

FLOOD_LINES = 50_000
released = asyncio.Event()


# Those beside whom the others run.


@node(effect="volatile")
async def bystander(number: int) -> int:
    """Is under way, in another session, while a hostile node runs."""
    await released.wait()
    return number


@node(effect="volatile")
async def release() -> None:
    """Lets the bystanders end."""
    released.set()
    await asyncio.sleep(0)
    released.clear()


# Writing where it does not belong.


@node(effect="volatile")
def prints_a_flood() -> str:
    for number in range(FLOOD_LINES):
        print("print", number)  # noqa: T201
    return "done"


@node(effect="volatile")
def writes_a_flood() -> str:
    for fd in (1, 2):
        for number in range(FLOOD_LINES):
            try:
                os.write(fd, b"write %d\n" % number)
            except BlockingIOError:
                break
    return "done"


@node(effect="volatile", execution="inline")
def writes_a_flood_on_the_loop() -> str:
    return str(writes_a_flood())


@node(effect="volatile")
def floods_from_c() -> str:
    libc = ctypes.CDLL(None)
    for number in range(FLOOD_LINES):
        libc.printf(b"from C %d\n", number)
    libc.fflush(None)
    return "done"


@node(effect="volatile")
def floods_from_a_child() -> str:
    subprocess.run(["/bin/sh", "-c", "yes | head -c 4000000; yes >&2 | head -c 4000000"], check=False, timeout=30)
    return "done"


@node(effect="volatile")
def logs_a_flood() -> str:
    logger = logging.getLogger("hostile")
    for number in range(FLOOD_LINES // 10):
        logger.error("%d \ud800 \x00 %s", number, object)
    return "done"


@node(effect="volatile")
def prints_one_endless_line() -> str:
    for _ in range(100):
        print("x" * 100_000, end="")  # noqa: T201
    return "done"


@node(effect="volatile")
def writes_bytes_that_are_no_text() -> str:
    os.write(1, bytes(range(256)) * 10 + b"\n")
    os.write(2, b"\x00\xff\xfe\n" * 10)
    return "done"


# Changing the process.


@node(effect="volatile")
def changes_the_process() -> str:
    os.chdir("/")
    os.umask(0o777)
    locale.setlocale(locale.LC_ALL, "C")
    os.environ.clear()
    sys.path.clear()
    os.setpgid(0, 0)
    return os.getcwd()


@node(effect="volatile", execution="inline")
def changes_signal_handlers() -> str:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    os.kill(os.getpid(), signal.SIGTERM)
    return "done"


@node(effect="volatile")
def changes_asyncio() -> str:
    class Policy(asyncio.DefaultEventLoopPolicy):
        def get_event_loop(self) -> NoReturn:
            raise RuntimeError("no loop for anybody")

        def new_event_loop(self) -> NoReturn:
            raise RuntimeError("no loop for anybody")

    asyncio.set_event_loop_policy(Policy())
    return "done"


@node(effect="volatile")
def changes_logging() -> str:
    logging.disable(logging.CRITICAL)
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(logging.CRITICAL)
    logging.raiseExceptions = False
    logging.shutdown()
    return "done"


@node(effect="volatile")
def replaces_standard_streams() -> str:
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None  # type: ignore[misc]
    return "done"


@node(effect="volatile")
def stops_the_collector() -> str:
    gc.disable()
    gc.freeze()
    return "done"


@node(effect="volatile")
def turns_warnings_into_errors() -> str:
    warnings.simplefilter("error")
    return "done"


@node(effect="volatile")
def leaves_threads_behind() -> int:
    for daemon in (True, False):
        threading.Thread(target=time.sleep, args=(1_000,), daemon=daemon).start()
    return threading.active_count()


@node(effect="volatile")
def leaves_a_dying_thread_behind() -> str:
    def die() -> NoReturn:
        raise SystemExit(9)

    thread = threading.Thread(target=die)
    thread.start()
    thread.join()
    return "done"


@node(effect="volatile")
async def leaves_a_dying_task_behind() -> str:
    async def die(kind: type[BaseException]) -> NoReturn:
        await asyncio.sleep(0)
        raise kind("nobody awaits this")

    loop = asyncio.get_running_loop()
    kept = [loop.create_task(die(kind)) for kind in (ValueError, SystemExit, KeyboardInterrupt)]
    await asyncio.sleep(0.01)
    return str(len(kept))


@node(effect="volatile")
async def leaves_a_dying_callback_behind() -> str:
    loop = asyncio.get_running_loop()
    loop.call_soon(sys.exit, 5)
    await asyncio.sleep(0.01)
    return "done"


@node(effect="volatile")
async def stops_the_loop() -> str:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.01)
    return "done"


@node(effect="volatile")
async def closes_the_loop() -> str:
    asyncio.get_running_loop().close()
    return "done"


@node(effect="volatile")
async def cancels_every_task() -> str:
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.cancel()
    await asyncio.sleep(0)
    return "done"


@node(effect="volatile")
async def cancels_itself() -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1_000)
    return "never"


@node(effect="volatile")
async def cancels_itself_and_goes_on() -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    try:
        await asyncio.sleep(1_000)
    except asyncio.CancelledError:
        await asyncio.sleep(0)
    return "done"


# Raising.


class _Untold(BaseException):
    def __str__(self) -> str:
        raise SystemExit("an exception that cannot be told")


class _Shouting(Exception):
    def __str__(self) -> str:
        raise ValueError("nothing to say")

    __repr__ = __str__


class _Hidden(Exception):
    @property
    def __traceback__(self) -> Any:  # type: ignore[override]
        raise KeyError("no traceback")

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise KeyError("no class")


class _Ours(GraphportError):
    def to_wire(self) -> dict[str, Any]:
        raise SystemExit(7)


@node(effect="volatile")
def raises_base_exception() -> NoReturn:
    raise BaseException("base")


@node(effect="volatile", execution="inline")
def raises_keyboard_interrupt_on_the_loop() -> NoReturn:
    raise KeyboardInterrupt


@node(effect="volatile", execution="inline")
def raises_system_exit_on_the_loop() -> NoReturn:
    sys.exit(4)


@node(effect="volatile")
async def raises_generator_exit_after_a_wait() -> NoReturn:
    await asyncio.sleep(0)
    raise GeneratorExit


@node(effect="volatile")
async def raises_system_exit_after_a_wait() -> NoReturn:
    await asyncio.sleep(0)
    raise SystemExit(4)


@node(effect="volatile")
async def raises_cancelled_error() -> NoReturn:
    raise asyncio.CancelledError


@node(effect="volatile", execution="inline")
def raises_stop_iteration() -> NoReturn:
    raise StopIteration({"value": 1})


@node(effect="volatile")
def raises_what_cannot_be_told() -> NoReturn:
    raise _Untold


@node(effect="volatile", execution="inline")
def raises_what_cannot_be_told_on_the_loop() -> NoReturn:
    raise _Untold


@node(effect="volatile")
async def raises_what_cannot_be_told_after_a_wait() -> NoReturn:
    await asyncio.sleep(0)
    raise _Untold


@node(effect="volatile")
def raises_what_has_no_text() -> NoReturn:
    raise _Shouting


@node(effect="volatile")
def raises_what_hides() -> NoReturn:
    raise _Hidden


@node(effect="volatile")
def raises_a_group_of_thousands() -> NoReturn:
    raise ExceptionGroup("many", [_Shouting(str(number)) for number in range(5_000)])


@node(effect="volatile")
def raises_our_error_with_fields_of_wrong_types() -> NoReturn:
    raise GraphportError(object(), code=["x"], node_id=5, retry_after_ms="soon", details={"x": object()})  # type: ignore[arg-type]


@node(effect="volatile")
def raises_our_error_with_a_code_of_its_own() -> NoReturn:
    raise GraphportError("made up", code="my_own_code")


@node(effect="volatile")
def raises_our_error_that_does_not_travel() -> NoReturn:
    raise _Ours("x")


@node(effect="volatile")
def recurses_without_end() -> Any:
    return recurses_without_end()


@node(effect="volatile", execution="inline")
def recurses_without_end_on_the_loop() -> Any:
    return recurses_without_end()


@node(effect="volatile")
async def streams_to_nobody(ctx: RunContext) -> str:
    await ctx.stream("value", "x")
    return "never"


@node(outputs={"value": Any})
async def progresses_with_nonsense(ctx: RunContext) -> dict[str, Any]:
    ctx.progress(float("nan"), "\ud800" * 100_000)
    ctx.progress(float("inf"), _Shouting)  # type: ignore[arg-type]
    return {"value": 1}
