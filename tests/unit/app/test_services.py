"""Services of the user's modules: made once, when first asked for, found by name, and closed at the end."""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pytest
from tests.support.evaluation import graph

import graphport.app.cache
import graphport.app.services  # noqa: F401 - loaded here, for the same reason
from graphport import node, service
from graphport.app.engine import Composition, load_catalogue
from graphport.core.errors import GraphInvalid, LookupFailed
from graphport.graph.validate import load_graph
from graphport.testing.sink import RecordingSink

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphport.contracts.run_context import RunContext


class Database:
    """Counts how often it is made and closed."""

    made: ClassVar[list[Database]] = []

    def __init__(self) -> None:
        self.closed = 0
        self.made.append(self)

    def close(self) -> None:
        self.closed += 1


class Slow(Database):
    made: ClassVar[list[Database]] = []

    async def aclose(self) -> None:
        self.closed += 10


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    Database.made.clear()
    Slow.made.clear()


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes an importable module of these objects."""

    def make(name: str = "services_of_a_test", **objects: Any) -> str:
        found = ModuleType(name)
        vars(found).update(objects)
        monkeypatch.setitem(sys.modules, name, found)
        return name

    return make


def using(name: str, execution: str = "async") -> Any:
    if execution == "thread":

        @node(type=f"uses-{name}", services=[name], effect="volatile")
        def use_thread(ctx: Any) -> int:
            return id(ctx.service(name))

        return use_thread

    @node(type=f"uses-{name}", services=[name], effect="volatile")
    async def use(ctx: RunContext) -> int:
        return id(ctx.service(name))

    return use


@node(type="both", services=["db", "broken"])
async def _both(ctx: RunContext) -> int:
    ctx.service("db"), ctx.service("broken")
    return 1


# Made here, because a declaration reads its file, and tests are not to block their loop.
USES: Final = {"async": using("db"), "thread": using("db", "thread"), "s": using("s")}


async def demand(composition: Composition, count: int, raw: dict[str, Any]) -> list[Any]:
    """Demand the node `n` so often, in an engine that ends then."""
    sink = RecordingSink()
    evaluator = composition.start(sink, {})
    evaluator.open(1, raw)
    answers = []
    for number in range(1, count + 1):
        evaluator.demand(number, 1, "n")
        evaluator.advance()
        answers.append(await sink.answer(number))
    await evaluator.close()
    await composition.stop()
    return answers


@pytest.mark.anyio
@pytest.mark.parametrize("execution", ["async", "thread"])
async def test_a_service_is_made_once_when_asked_for_and_closed_at_the_end(
    module: Callable[..., str], execution: str
) -> None:
    name = module(make=service("db")(lambda: Database()), other=service("slow")(lambda: Slow()), use=USES[execution])
    composition = Composition([name])
    answers = await demand(composition, 2, graph({"n": "uses-db"}))

    assert answers[0].outputs == answers[1].outputs
    assert [each.closed for each in Database.made] == [1]
    assert not Slow.made, "nobody asked for it"


@pytest.mark.anyio
async def test_an_async_close_is_awaited(module: Callable[..., str]) -> None:
    await demand(Composition([module(make=service("s")(lambda: Slow()), use=USES["s"])]), 1, graph({"n": "uses-s"}))

    assert [each.closed for each in Slow.made] == [10]


@pytest.mark.anyio
async def test_a_service_that_cannot_be_made_fails_the_node_and_is_tried_again(module: Callable[..., str]) -> None:
    tries = []

    def make() -> Database:
        tries.append(1)
        if len(tries) == 1:
            raise KeyError("no such file")
        return Database()

    answers = await demand(
        Composition([module(make=service("db")(make), use=USES["async"])]), 2, graph({"n": "uses-db"})
    )

    assert (answers[0].code, answers[0].error.exception_name) == ("backend_unavailable", "KeyError")
    assert answers[1].outputs is not None


@pytest.mark.anyio
async def test_a_service_that_cannot_be_closed_holds_up_no_other(
    module: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Database):
        def close(self) -> None:
            raise OSError("gone")

    parts = {"a": service("db")(lambda: Database()), "b": service("broken")(lambda: Broken()), "both": _both}
    with caplog.at_level(logging.ERROR, "graphport.services"):
        await demand(Composition([module(**parts)]), 1, graph({"n": "both"}))

    assert [each.closed for each in Database.made] == [1, 0]
    assert "'broken'" in caplog.text


def test_a_graph_that_needs_a_service_which_is_not_there_is_refused(module: Callable[..., str]) -> None:
    catalogue = load_catalogue([module(make=service("cache")(lambda: Database()), use=USES["async"])])

    with pytest.raises(GraphInvalid) as caught:
        load_graph(graph({"a": "uses-db"}), catalogue)

    (fault,) = (caught.value.details or {})["faults"]
    assert (fault["code"], fault["node"]) == ("backend_unavailable", "a")
    assert "'db'" in fault["message"]
    assert "cache" in fault["message"]
    assert not Database.made


@pytest.mark.parametrize("names", [("db", "db"), ("inference",)])
def test_two_services_of_one_name(module: Callable[..., str], names: tuple[str, ...]) -> None:
    modules = [module(f"services_{place}", make=service(name)(lambda: Database())) for place, name in enumerate(names)]

    with pytest.raises(LookupFailed) as caught:
        load_catalogue(modules)

    assert caught.value.code == "duplicate_id"


async def _async() -> None: ...


def _yields() -> Any:
    yield


@pytest.mark.parametrize("function", [_async, _yields, lambda needed: needed])
def test_what_makes_no_service(function: Any) -> None:
    with pytest.raises(TypeError, match="factory of the service 'x'"):
        service("x")(function)


@pytest.mark.parametrize("name", ["", 5, None])
def test_a_service_has_a_name(name: Any) -> None:
    with pytest.raises(TypeError, match="name of the service"):
        service(name)
