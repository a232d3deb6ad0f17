"""Child processes: real ones, well-behaved and stubborn."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from graphport.contracts.inference import WorkerCommand
from graphport.core.errors import InferenceError
from graphport.process import child as child_module
from graphport.process.child import OUTPUT_TAIL_BYTES, ChildProcess, LocalSpawner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio

UNTIL_EOF = "import sys; sys.stdin.read()"


@pytest.fixture
async def spawn() -> AsyncIterator[Callable[..., ChildProcess]]:
    """Starts Python programs, and ends those that a test left running."""
    started: list[ChildProcess] = []

    def start(program: str, *arguments: str, **env: str) -> ChildProcess:
        argv = (sys.executable, "-c", program, *arguments)
        child = ChildProcess(WorkerCommand(argv=argv), {**os.environ, **env})
        started.append(child)
        return child

    yield start
    for child in started:
        await child.stop()


async def wait_for(child: ChildProcess) -> int:
    async with asyncio.timeout(10):
        return await child.wait()


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(10):
        # Not our child, so nothing reports its end.
        while await asyncio.to_thread(alive, pid):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_lines_and_return_code_are_seen(spawn: Callable[..., ChildProcess]) -> None:
    child = spawn("import sys; print('one'); print('two', flush=True); sys.exit(7)")

    assert await child.read_line() == b"one"
    assert await child.read_line() == b"two"
    assert await child.read_line() is None
    assert await wait_for(child) == 7
    assert child.returncode == 7


async def test_the_end_of_the_output_is_kept_and_no_more(spawn: Callable[..., ChildProcess]) -> None:
    child = spawn("import sys; sys.stderr.write('x' * 3_000_000 + 'last words')")

    await wait_for(child)

    assert child.output_tail().endswith("last words")
    assert len(child.output_tail()) <= OUTPUT_TAIL_BYTES


async def test_closing_the_life_line_ends_the_child(spawn: Callable[..., ChildProcess]) -> None:
    child = spawn(UNTIL_EOF)

    assert await child.stop() == 0
    assert await child.stop() == 0


async def test_a_child_that_ignores_its_life_line_gets_sigterm(
    spawn: Callable[..., ChildProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "LIFE_LINE_GRACE_SECONDS", 0.05)
    child = spawn("import signal; print(flush=True); signal.pause()")
    await child.read_line()

    assert await child.stop() == -signal.SIGTERM


STUBBORN = (
    "import signal, subprocess, sys;"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "other = subprocess.Popen([sys.executable, '-c', 'import signal;"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()'], stdout=subprocess.PIPE);"
    "other.stdout.readline();"
    "print(other.pid, flush=True);"
    "[signal.pause() for _ in iter(int, 1)]"
)


async def test_a_stubborn_child_and_its_own_children_are_killed(
    spawn: Callable[..., ChildProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "LIFE_LINE_GRACE_SECONDS", 0.05)
    monkeypatch.setattr(child_module, "TERMINATE_GRACE_SECONDS", 0.05)
    child = spawn(STUBBORN)
    grandchild = int(await child.read_line() or b"0")

    assert await child.stop() == -signal.SIGKILL
    await until_gone(grandchild)


async def test_what_a_dead_child_leaves_behind_is_killed(spawn: Callable[..., ChildProcess]) -> None:
    child = spawn(
        "import os, subprocess, sys;"
        "other = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']);"
        "print(other.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    grandchild = int(await child.read_line() or b"0")

    await wait_for(child)

    await until_gone(grandchild)


async def test_a_cancelled_stop_still_kills(spawn: Callable[..., ChildProcess]) -> None:
    child = spawn("import signal; print(flush=True); [signal.pause() for _ in iter(int, 1)]")
    await child.read_line()
    stopping = asyncio.create_task(child.stop())
    await asyncio.sleep(0)

    stopping.cancel()

    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert await wait_for(child) == -signal.SIGKILL


async def test_the_end_is_seen_although_somebody_else_holds_the_pipes(
    spawn: Callable[..., ChildProcess],
) -> None:
    # The grandchild has a session of its own, so killing the group does not reach it.
    child = spawn(
        "import os, subprocess, sys;"
        "other = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'], start_new_session=True);"
        "print(other.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    grandchild = int(await child.read_line() or b"0")

    try:
        assert await wait_for(child) == -signal.SIGKILL
        assert await child.read_line() is None
    finally:
        os.kill(grandchild, signal.SIGKILL)


async def test_the_exit_is_reported_once_also_to_those_who_come_late(
    spawn: Callable[..., ChildProcess],
) -> None:
    calls: list[str] = []
    child = spawn(UNTIL_EOF)
    child.on_exit(lambda: calls.append("early"))
    take_back = child.on_exit(lambda: calls.append("taken back"))
    take_back()

    await child.stop()
    child.on_exit(lambda: calls.append("late"))

    assert calls == ["early", "late"]


async def test_no_other_file_of_ours_is_open_in_the_child(spawn: Callable[..., ChildProcess]) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        child = spawn("import os; print(sorted(os.listdir('/proc/self/fd'), key=int)[:-1])")
        assert await child.read_line() == b"['0', '1', '2']"
    finally:
        os.close(reader)
        os.close(writer)


async def test_a_missing_program_is_a_typed_error_and_leaks_nothing() -> None:
    before = await asyncio.to_thread(os.listdir, "/proc/self/fd")

    with pytest.raises(InferenceError) as caught:
        await LocalSpawner().spawn(WorkerCommand(argv=("/nowhere/program",)))

    assert caught.value.code == "backend_unavailable"
    assert "/nowhere/program" in caught.value.message
    assert len(await asyncio.to_thread(os.listdir, "/proc/self/fd")) == len(before)


async def test_the_environment_is_base_plus_command() -> None:
    program = "import os; print(os.environ.get('A'), os.environ.get('B'), 'HOME' in os.environ)"
    command = WorkerCommand(argv=(sys.executable, "-c", program), env={"B": "2"})

    child = await LocalSpawner({"A": "1", "B": "1"}).spawn(command)

    assert await child.read_line() == b"1 2 False"
    await child.stop()


async def test_without_pidfd_a_thread_watches(
    spawn: Callable[..., ChildProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    child = spawn("raise SystemExit(3)")

    assert await wait_for(child) == 3
