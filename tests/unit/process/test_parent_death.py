"""A child that asks to die with its parent does."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest

from graphport.process.parent_death import set_parent_death_signal

CHILD = (
    "import signal; from graphport.process.parent_death import set_parent_death_signal;"
    "print(set_parent_death_signal(), flush=True); signal.pause()"
)
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE)
print(child.stdout.readline().decode().strip(), child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has parent death signals")
def test_a_child_dies_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        answer, child = parent.stdout.readline().split()
        watch = os.pidfd_open(int(child))
        try:
            parent.kill()
            readable, _, _ = select.select([watch], [], [], 10)
        finally:
            os.close(watch)

    assert answer == b"True"
    assert readable, "the child outlived its parent by ten seconds"


def test_a_parent_that_is_gone_already_is_noticed() -> None:
    program = (
        "from graphport.process.parent_death import set_parent_death_signal as ask;print(ask(expected_parent=1 << 30))"
    )

    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout

    assert answer == b"False\n"


def test_other_systems_only_compare_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "elsewhere")

    assert set_parent_death_signal(signal.SIGKILL)
