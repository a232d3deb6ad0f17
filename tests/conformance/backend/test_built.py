"""What only the compiled backends can show: the real program's death, and a machine that has llama-cpp-python alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.conformance.backend.profiles import BUILT
from tests.inference.support import SMALL, answer, request

from graphport.contracts.inference import ChatText
from graphport.core.errors import InferenceError
from graphport.inference.gateway import LocalGateway
from graphport.inference.profiles.llama_server import LlamaServerProfile
from graphport.process.child import LocalSpawner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.built]


@pytest.fixture
async def servers() -> AsyncIterator[LocalGateway]:
    gateway = LocalGateway(LlamaServerProfile(str(BUILT / "llama-server")), LocalSpawner())
    yield gateway
    await gateway.close()


async def test_the_death_of_the_program_behind_the_worker_is_a_crash(servers: LocalGateway, models: Path) -> None:
    model = str(models / "endless.gguf")
    async with contextlib.aclosing(servers.chat(model, request("a"), SMALL)) as events:
        async for event in events:
            if isinstance(event, ChatText):
                break
        worker = (await servers.worker(model, SMALL)).pid
        (program,) = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()  # noqa: ASYNC240
        os.kill(int(program), signal.SIGKILL)
        with pytest.raises(InferenceError) as caught:
            async for _ in events:
                pass

    assert caught.value.code == "backend_crashed"
    assert caught.value.details is not None
    assert caught.value.details["returncode"] == -signal.SIGKILL
    assert (await answer(servers, models / "endless.gguf", "a", max_tokens=3))[0] == "bcd"


def test_llama_cpp_python_is_taken_where_it_is_the_only_one(models: Path, tmp_path: Path) -> None:
    """In the virtual environment that was built for it, and with a PATH that holds nothing else."""
    commands = BUILT / "venv" / "bin"
    environment = {"PATH": str(commands), "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    graph = tmp_path / "graph.json"
    data = {"model_path": str(models / "successor.gguf"), "context_length": 512}
    node = {"id": "llm", "type": "llamacpp-inference", "data": data}
    graph.write_text(json.dumps({"nodes": [node], "edges": []}))

    def say(*arguments: str) -> bytes:
        command = [str(commands / "graphport"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, check=False).stdout

    found = {finding["name"]: finding for finding in json.loads(say("doctor", "--json"))["findings"]}
    assert found["xllamacpp"]["found"] == "not installed"
    assert found["llama-cpp-python"]["found"].endswith(", in use")
    assert b"xyz" in say("run", str(graph), "--demand", "llm", "--input", "llm.prompt=w")
