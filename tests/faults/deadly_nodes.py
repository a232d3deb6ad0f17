"""Nodes that damage the process they run in. One function here, one line in `test_deadly_nodes`."""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import faulthandler
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn

from graphport import node

if TYPE_CHECKING:
    from types import FrameType

MIB = 1 << 20


@node(effect="volatile")
def fine() -> str:
    return "fine"


@node(effect="volatile")
def sleeps() -> NoReturn:
    time.sleep(1_000)
    raise AssertionError


# After these the engine goes on.


@node(effect="volatile")
def closes_the_low_fds() -> str:
    os.close(3)
    os.closerange(0, 10)
    return "done"


@node(effect="volatile")
def breaks_time_and_json() -> str:
    def broken(*_: Any) -> NoReturn:
        raise RuntimeError("broken on purpose")

    for name in ("time", "monotonic", "perf_counter", "sleep", "time_ns", "monotonic_ns"):
        setattr(time, name, broken)
    for name in ("dumps", "loads"):
        setattr(json, name, broken)
    return "done"


@node(effect="volatile")
def stops_time() -> str:
    time.time = time.monotonic = time.perf_counter = lambda: 0.0
    return "done"


@node(effect="volatile")
def takes_all_memory() -> str:
    kept = []
    for size in (16 * MIB, MIB, 65_536, 4_096):
        try:
            while True:
                kept.append(bytearray(size))
        except MemoryError:
            continue
    kept.append(bytearray(64 * MIB))
    return "never"


@node(effect="volatile", execution="inline")
def takes_all_memory_on_the_loop() -> str:
    return str(takes_all_memory())


@node(effect="volatile")
def forbids_new_fds() -> str:
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    return "done"


@node(effect="volatile")
def allows_little_recursion() -> str:
    sys.setrecursionlimit(60)
    return "done"


@node(effect="volatile")
def forgets_all_modules() -> str:
    sys.modules.clear()
    return "done"


@node(effect="volatile")
def exits_at_exit() -> str:
    def die() -> NoReturn:
        time.sleep(1_000)
        sys.exit(9)

    atexit.register(die)
    threading.Thread(target=time.sleep, args=(1_000,)).start()
    return "done"


@node(effect="volatile", execution="inline")
def has_a_signal_handler_that_raises() -> str:
    def raise_it(*_: object) -> NoReturn:
        raise SystemExit(9)

    signal.signal(signal.SIGALRM, raise_it)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    return "done"


@node(effect="volatile")
def forks_a_child_that_goes_on() -> int:
    return os.fork()


@node(effect="volatile", execution="inline")
def forks_on_the_loop() -> int:
    return os.fork()


# A child of these holds what it has inherited until it is killed.


@node(effect="volatile")
def leaves_a_forked_child() -> int:
    child = os.fork()
    if not child:
        signal.pause()
        os._exit(0)
    return child


@node(effect="volatile")
def leaves_a_program() -> int:
    return subprocess.Popen(["/bin/sleep", "1000"], close_fds=False, start_new_session=True).pid


@node(effect="volatile")
def leaves_a_child_that_writes_everywhere() -> int:
    child = os.fork()
    if not child:
        for fd in range(3, 256):
            try:
                os.write(fd, b"\xff\xff\xff\xff")
            except OSError:
                continue
        signal.pause()
        os._exit(0)
    return child


# These end the engine.


@node(effect="volatile")
def exits_the_process() -> NoReturn:
    os._exit(3)


@node(effect="volatile")
def segfaults() -> NoReturn:
    faulthandler.disable()
    ctypes.string_at(0)
    raise AssertionError


@node(effect="volatile")
def kills_itself() -> NoReturn:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


@node(effect="volatile")
def aborts() -> NoReturn:
    os.abort()


@node(effect="volatile")
def sets_an_alarm() -> str:
    signal.alarm(1)
    time.sleep(1_000)
    return "never"


@node(effect="volatile")
def runs_another_program() -> NoReturn:
    os.execv("/bin/true", ["/bin/true"])


@node(effect="volatile")
def closes_every_fd() -> str:
    os.closerange(3, 256)
    return "done"


@node(effect="volatile")
async def interrupts_the_loop_for_ever() -> str:
    loop = asyncio.get_running_loop()

    def again() -> NoReturn:
        loop.call_later(0.001, again)
        sys.exit(9)

    loop.call_soon(again)
    return "done"


@node(effect="volatile", execution="inline")
def has_a_signal_handler_that_interrupts_the_engine() -> str:
    def raise_it(_number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_globals["__name__"] == "graphport.server.connection":
                raise SystemExit(9)
            frame = frame.f_back

    signal.signal(signal.SIGALRM, raise_it)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    return "done"
