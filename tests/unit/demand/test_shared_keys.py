"""Keys that engines share: the same in every process, other ones for other code, and never equal by accident."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.evaluation import bench, graph, make_type

from graphport.contracts.node import NodeType
from graphport.demand.keys import unique_key
from graphport.graph.digest import BLAKE2B, XXH3
from graphport.stores.memory import MemoryStore

ROOT = Path(__file__).parents[3]

PROGRAM = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
import shared_nodes
from graphport.demand.evaluator import Evaluator
from graphport.graph.authoring import node_types_of
from graphport.graph.catalogue import Catalogue
from graphport.nodes import CORE_NODES
from graphport.stores.memory import MemoryStore
from graphport.testing.sink import RecordingSink

GRAPH = {
    "nodes": [
        {"id": "t", "type": "text-input", "data": {"text": "x"}},
        {"id": "j", "type": "join", "data": {"more": {"b": [1, 2.5, None], "a": "long" * 1000}}},
        {"id": "s", "type": "sample"},
    ],
    "edges": [
        {"source": "t", "source_handle": "text", "target": "j", "target_handle": "text"},
        {"source": "j", "source_handle": "value", "target": "s", "target_handle": "text"},
    ],
}

async def main():
    catalogue = Catalogue(CORE_NODES)
    for one in node_types_of(shared_nodes):
        catalogue.register(one)
    sink, store = RecordingSink(), MemoryStore()
    evaluator = Evaluator(catalogue, sink, store=store)
    evaluator.open(1, GRAPH)
    for demand, inputs in enumerate(({}, {"j": {"more": {"set": {"p", "q", "r", "s"}, "n": 2**70}}})):
        evaluator.demand(demand, 1, "s", inputs=inputs)
        evaluator.advance()
        await sink.answer(demand)
    await evaluator.close()
    print(sorted(key.hex() for key in store._frames))

asyncio.run(main())
"""

NODES = """
from graphport import node

@node
async def join(text: str, more: dict | None = None) -> str:
    return text + "!" if text in {"p", "q", "r"} else text

@node(effect="seeded")
async def sample(text: str, seed: int | None = None) -> str:
    return text
"""


def keys_in_a_process(folder: Path, nodes: str, hash_seed: int) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "shared_nodes.py").write_text(nodes)
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(ROOT / "python"), "PYTHONHASHSEED": str(hash_seed)},
    )
    assert answer.stdout.count(",") == 3, answer.stdout  # four results
    return answer.stdout


def test_keys_are_the_same_in_every_process_and_other_ones_for_other_code(tmp_path: Path) -> None:
    first = keys_in_a_process(tmp_path / "a", NODES, 1)

    assert keys_in_a_process(tmp_path / "b", NODES, 2) == first

    changed = keys_in_a_process(tmp_path / "c", NODES.replace('"!"', '"?"'), 1)
    assert set(changed.split(", ")).isdisjoint(first.split(", "))


@pytest.mark.anyio
async def test_an_engine_with_a_store_makes_all_its_keys_the_safe_way() -> None:
    types = [make_type("one", lambda _i, _c: {"value": 1}, content_digest=True)]
    async with bench(*types) as fast, bench(*types, store=MemoryStore()) as safe:
        hashers = []
        for b in (fast, safe):
            b.open(graph({"a": "one"}))
            session = b.evaluator.sessions[1]
            hashers.append((session.graph.hasher, b.evaluator.memo.hasher))
        plans = [b.evaluator.sessions[1].graph.plan_of("a") for b in (fast, safe)]

    assert hashers == [(XXH3, XXH3), (BLAKE2B, BLAKE2B)]
    assert [plan.hasher for plan in plans if plan is not None] == [XXH3, BLAKE2B]


@pytest.mark.anyio
async def test_other_code_is_another_key() -> None:
    store, made = MemoryStore(), []

    def version(number: int) -> NodeType:
        async def run(_inputs: object, _ctx: object) -> dict[str, int]:
            made.append(number)
            return {"value": number}

        one = make_type("one", run)
        return NodeType(spec=one.spec, handler=one.handler, code_digest=bytes([number]) * 16)

    for number in (1, 2, 1):
        async with bench(version(number), store=store) as b:
            b.open(graph({"a": "one"}))
            assert await b.outputs("a") == {"value": number}

    assert made == [1, 2]


def test_both_ways_tell_the_same_values_apart() -> None:
    values = [1, 1.0, True, None, "1", b"1", [1], (1,), {1}, {"a": 1}, {"a": 2}, "", b"", [], {}, 2**80, "x" * 5_000]

    for hasher in (XXH3, BLAKE2B):
        digests = [hasher.digest(value) for value in values]
        assert len(set(digests)) == len(values)
        assert {len(digest or b"") for digest in digests} == {16}
        assert hasher.digest({"a": 1, "b": 2}) == hasher.digest({"b": 2, "a": 1})
        assert hasher.digest(object()) is None
    assert {XXH3.digest(value) for value in values}.isdisjoint(BLAKE2B.digest(value) for value in values)


def test_unique_keys_differ_between_processes() -> None:
    code = "from graphport.demand.keys import unique_key; print(unique_key().hex())"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
    )
    other = bytes.fromhex(answer.stdout)

    assert len(other) == len(unique_key()) == 16
    assert other[:10] != unique_key()[:10]
