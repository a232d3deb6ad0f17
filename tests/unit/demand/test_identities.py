"""A result that depends on more than its inputs is found again only while that is the same."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.evaluation import Bench, bench, graph, make_type, until

from graphport.graph.authoring import node, node_type_of
from graphport.nodes.llamacpp_inference import NODE as LLAMACPP
from graphport.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphport.contracts.node import NodeType

pytestmark = pytest.mark.anyio


def reads(ran: list[str], identity: Callable[[Any], Any] | None, execution: str = "thread") -> NodeType:
    """A type that notes the text it ran for."""

    def run(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        ran.append(inputs["path"])
        return {"value": str(len(ran))}

    return replace(make_type("reads", run, inputs=["path"], execution=execution), identity=identity)


def loaded() -> dict[str, Any]:
    """`r` reads what `p` names, `after` reads `r`."""
    nodes: dict[str, Any] = {"p": ("text-input", {"text": "a"}), "r": "reads", "after": "text-output"}
    return graph(nodes, "p.text -> r.path", "r.value -> after.text")


@pytest.mark.parametrize("execution", ["inline", "thread"])
@pytest.mark.parametrize("store", [True, False])
async def test_what_it_says_is_in_the_key(execution: str, store: bool) -> None:
    ran: list[str] = []
    said = [1]
    kept = MemoryStore() if store else None
    async with bench(reads(ran, lambda inputs: [inputs["path"], said[0]], execution), store=kept) as b:
        b.open(loaded())
        for number in (1, 1, 2, 2, 1):
            said[0] = number
            answer = await b.demand("after", events=True)
            assert answer.outputs == {"text": str(number)}

        assert ran == ["a", "a"]
        assert (answer.meta["cached"], answer.meta["ran"]) == (True, 0)


async def test_it_is_asked_for_the_demands_own_inputs() -> None:
    ran: list[str] = []
    async with bench(reads(ran, lambda inputs: inputs["path"])) as b:
        b.open(loaded())
        for text in ("x", "y", "x"):
            await b.outputs("r", inputs={"r": {"path": text}})

        assert ran == ["x", "y"]


async def test_one_that_fails_or_says_nothing_plain_harms_no_demand(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_inputs: Any) -> Any:
        raise SystemExit

    for identity in (broken, lambda _inputs: object()):
        ran: list[str] = []
        async with bench(reads(ran, identity)) as b:
            b.open(loaded())
            assert await b.outputs("after") == {"text": "1"}
            assert await b.outputs("after") == {"text": "2"}
    assert "the identity of node 'r' raised SystemExit" in caplog.text


async def test_a_demand_that_is_cancelled_meanwhile_ends_at_once() -> None:
    asked, go_on = threading.Event(), threading.Event()
    ran: list[str] = []

    def slow(_inputs: Any) -> int:
        asked.set()
        go_on.wait(30)
        return 1

    async with bench(reads(ran, slow)) as b:
        b.open(loaded())
        demand = b.start("after")
        await until(asked.is_set)
        b.evaluator.cancel(demand)
        assert (await b.sink.answer(demand)).code == "cancelled"
        go_on.set()
        assert await b.outputs("after") == {"text": "1"}


async def test_the_decorator_takes_one() -> None:
    def identity(_inputs: Any) -> int:
        return 1

    def declared() -> NodeType:
        @node(identity=identity)
        def one(x: int) -> int:
            return x

        return node_type_of(one)

    assert (await asyncio.to_thread(declared)).identity is identity


def test_a_model_file_is_known_by_path_size_and_time(tmp_path: Path) -> None:
    identity = LLAMACPP.identity
    assert identity is not None
    file = tmp_path / "b.gguf"
    file.write_bytes(b"x" * 10)
    of_file = identity({"model_path": str(file)})

    assert of_file[:2] == [str(file), 10]
    assert identity({"model_path": str(tmp_path)}) == of_file
    (tmp_path / "a.GGUF").write_bytes(b"")
    assert identity({"model_path": str(tmp_path)}) != of_file
    file.write_bytes(b"x" * 11)
    assert identity({"model_path": str(file)}) != of_file
    for nothing in ("", "smollm2", None, 5, "a\0b", str(tmp_path / "none")):
        assert identity({"model_path": nothing}) == []


async def test_another_model_under_the_same_name_is_asked_again(tmp_path: Path) -> None:
    ran: list[str] = []
    file = tmp_path / "m.gguf"

    async def answers(inputs: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        ran.append(inputs["prompt"])
        return {"response": str(len(ran)), "model_path": "", "model_ref": {}}

    spec = LLAMACPP.spec.model_copy(update={"type": "llm"})
    type_ = replace(LLAMACPP, spec=spec, handler=answers)

    async def ask(b: Bench) -> list[str]:
        b.open(graph({"m": ("llm", {"model_path": str(file), "prompt": "why?"})}))
        await asyncio.to_thread(file.write_bytes, b"one")
        first = [(await b.outputs("m"))["response"] for _ in range(2)]
        await asyncio.to_thread(file.write_bytes, b"another")
        return [*first, (await b.outputs("m"))["response"]]

    async with bench(type_) as b:
        assert await ask(b) == ["1", "1", "2"]
