"""Drives the real evaluator through random demands and holds it to the reference evaluator, move by move.

After each move the loop is let run until nothing can go on without the test. Then every answer, and every execution
that has begun, must be what the reference says.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.support.evaluation import Bench, until
from tests.support.random_graphs import edits_between, targets_of
from tests.support.random_nodes import Floor, NodeCall, streamed_text
from tests.support.reference_evaluator import Knowledge, Reference

from graphport.demand.memo import Memo

if TYPE_CHECKING:
    from tests.support.reference_evaluator import DrawnGraph, Given

    from graphport.contracts.sink import Target
    from graphport.testing.sink import Answer

# Threads there may be: more than can wait at once, so that none waits for another.
_THREADS: Final = 64


@dataclass(eq=False, repr=False)
class Asked:
    """A demand.

    Attributes:
        number: the demand's.
        session: whose graph it is.
        graph: as it was when the demand came.
        target: what it names.
        given: its own inputs.
        reference: what has to come of it.
        seeds: those drawn for it.
        revision: of the graph when it came.
        stream: whether it listens to all nodes.
        alone: no other demand was open when it came.
        cold: the same without a cache, where the cache was cleared meanwhile.
        excuses: codes with which it may end, whatever the reference says.
        answer: its last message.
    """

    number: int
    session: int
    graph: DrawnGraph
    target: Target
    given: Given
    reference: Reference
    seeds: dict[str, int]
    revision: int
    stream: bool
    alone: bool
    cold: Reference | None = None
    excuses: set[str] = field(default_factory=set)
    answer: Answer | None = None

    def __repr__(self) -> str:
        return f"demand {self.number}"


class Driven:
    """The real evaluator, the floor on which its nodes run, and what the reference knows.

    Args:
        max_entries: results that the cache may hold. With `None`, any number, executions are counted exactly.
    """

    def __init__(self, max_entries: int | None = None) -> None:
        self.floor = Floor()
        self.forgets = max_entries is not None
        memo = Memo() if max_entries is None else Memo(max_entries=max_entries)
        self.bench = Bench(self.floor.types(), memo=memo, max_threads=_THREADS)
        self.evaluator = self.bench.evaluator
        self.sink = self.bench.sink
        self.knowledge = Knowledge()
        self.graphs: dict[int, DrawnGraph] = {}
        self.asked: list[Asked] = []
        self._seen = 0  # executions that were checked
        self._since = 0  # the first execution since the cache was cleared
        self._disturbed = False  # since the last time that nothing was open
        self._lasting: dict[Any, set[int]] = {}  # keys by identity, of all demands since the cache was cleared
        self._once: Counter[Any] = Counter()  # executions that are a demand's own, by identity

    @property
    def open(self) -> list[Asked]:
        """Demands that have no answer."""
        return [one for one in self.asked if one.answer is None]

    def at_door(self) -> list[NodeCall]:
        """Executions that wait for the test."""
        return [one for one in self.floor.unfinished if one.at_door]

    # Moves

    async def load(self, session: int, graph: DrawnGraph) -> None:
        """Open a session."""
        self.evaluator.open(session, graph.to_json())
        self.graphs[session] = graph

    async def edit(self, session: int, graph: DrawnGraph) -> None:
        """Edit a session's graph, so that it becomes this one."""
        real = self.evaluator.sessions[session]
        edited = self.evaluator.edit(real.graph, edits_between(self.graphs[session], graph))
        assert edited.graph.revision == real.graph.revision + 1
        assert edited.dirty == graph.dirty_since(self.graphs[session])
        self.evaluator.update(session, edited)
        self.graphs[session] = graph
        await self.settle()

    async def demand(
        self,
        session: int,
        *rows: tuple[Target, Given],
        stream: bool = False,
        fresh: bool = False,
        deadline_ms: int | None = None,
    ) -> list[Asked]:
        """Start demands within one wake-up of the loop."""
        graph, alone = self.graphs[session], not self.open and len(rows) == 1
        started = []
        for target, given in rows:
            number, before = len(self.asked) + 1, self._seeds(session)
            self.evaluator.demand(
                number, session, target, inputs=given, stream=stream, fresh=fresh, deadline_ms=deadline_ms
            )
            while fresh and (run := self.evaluator.runs.get(number)) is not None and run._preparing is not None:
                self.evaluator.advance()  # it is prepared a bit at a time, and only then its seeds are drawn
            targets, seeds = targets_of(graph, target), self._seeds(session)
            if deadline_ms != 0 or seeds != before:  # one that is over before it is prepared draws none
                self._check_seeds(graph, before, seeds, targets if fresh else [])
            reference = Reference(graph, targets, given, self.knowledge, number, seeds.__getitem__)
            revision = self.evaluator.sessions[session].graph.revision
            asked = Asked(number, session, graph, target, given, reference, seeds, revision, stream, alone)
            if deadline_ms == 0:
                asked.excuses.add("deadline_exceeded")
                self._disturbed = True
            self._disturbed = self._disturbed or reference.fails
            self.asked.append(asked)
            started.append(asked)
            self._note(reference)
        self.evaluator.advance()
        await self.settle()
        return started

    def _note(self, reference: Reference) -> None:
        lasting = set() if self.forgets else reference.lasting
        for key in reference.ran:
            what = self.knowledge.identities[key]
            if key in lasting:
                self._lasting.setdefault(what, set()).add(key)
            else:
                self._once[what] += 1

    def _seeds(self, session: int) -> dict[str, int]:
        real = self.evaluator.sessions[session]
        return {name: real.seed(name) for name in self.graphs[session].nodes}

    def _check_seeds(
        self, graph: DrawnGraph, before: dict[str, int], after: dict[str, int], targets: list[str]
    ) -> None:
        """Seeds are drawn anew for the nodes of a demand that asks for it, and for no others."""
        drawn = graph.above(targets)
        for name, node in graph.nodes.items():
            by_edge = any(edge.port == "seed" for edge in graph.into(name))
            needs = node.kind.effect == "seeded" and node.data.get("seed") is None and not by_edge
            assert (before[name] != after[name]) == (needs and name in drawn), name

    async def cancel(self, asked: Asked) -> None:
        """Cancel a demand."""
        self._disturbed = True
        asked.excuses.add("cancelled")
        self.evaluator.cancel(asked.number)
        await self.settle()
        assert asked.answer is not None

    async def close_session(self, session: int) -> None:
        """Close a session; its demands are over."""
        self._disturbed = True
        ended = [one for one in self.open if one.session == session]
        for one in ended:
            one.excuses.add("cancelled")
        self.evaluator.close_session(session)
        del self.graphs[session]
        await self.settle()
        assert all(one.answer is not None and one.answer.code == "cancelled" for one in ended)

    async def go_on(self, execution: NodeCall, failure: BaseException | None = None) -> None:
        """Let a node that waits go on, or fail."""
        if failure is not None and not execution.given_up:
            self._disturbed = True
            for asked in self.open:
                if execution.identity in self._identities(asked):
                    asked.excuses.add("node_failed")
        execution.go_on(failure)
        await self.settle()

    async def forget(self) -> None:
        """Clear the cache."""
        self.evaluator.memo.clear()
        self.knowledge.cache.clear()
        self._lasting.clear()
        self._once.clear()
        self._since = len(self.floor.executions)
        self._disturbed = bool(self.open)
        for asked in self.open:
            # What it had not come to, and would have found, it does not find any more.
            asked.cold = Reference(
                asked.graph,
                asked.reference.targets,
                asked.given,
                self.knowledge,
                asked.number,
                asked.seeds.__getitem__,
            )
            self._note(asked.reference)
            self._note(asked.cold)

    async def finish(self) -> None:
        """Let everything go on until no demand is open."""
        while waiting := [one for one in self.floor.unfinished if one.state == "waiting"]:
            for execution in waiting:
                execution.go_on()
            await self.settle()
        assert not self.open

    async def close(self) -> None:
        """Stop the evaluator; nothing is left of it."""
        for asked in self.open:
            asked.excuses.add("shutting_down")
            self._disturbed = True
        await self.evaluator.close()
        for execution in self.floor.unfinished:
            execution.go_on()
        await self.settle()
        assert not self.open
        for asked in self.asked:  # nobody changes what was answered
            self._check_answer(asked)

    # Checks

    async def settle(self) -> None:
        """Let the loop run until nothing goes on by itself, and compare."""
        await until(self._is_quiet)
        new = self.floor.executions[self._seen :]
        self._seen += len(new)
        wanted = {what for asked in self.open for what in self._identities(asked)}
        for execution in new:
            assert execution.identity in wanted, f"nobody needs {execution.identity}: {wanted}"
        for asked in self.open:
            asked.answer = self.sink.get(asked.number)
            if asked.answer is not None:
                self._check_answer(asked)
        self._check_single_flight()
        self._check_counts()
        if not self.open:
            self._check_rest()

    def _is_quiet(self) -> bool:
        evaluator, unfinished = self.evaluator, self.floor.unfinished
        if evaluator._ready or evaluator._turn_planned or evaluator.threads.mailbox._calls:
            return False
        if any(one.state == "running" or (one.given_up and one.kind.execution == "async") for one in unfinished):
            return False
        threads = sum(one.kind.execution == "thread" for one in unfinished)
        return len(evaluator.flights) == len(self.at_door()) and evaluator.threads._outstanding == threads

    def _identities(self, asked: Asked) -> list[Any]:
        return [self.knowledge.identities[key] for key in self._may_run(asked)]

    def _may_run(self, asked: Asked) -> set[int]:
        return {*asked.reference.ran, *(asked.cold.ran if asked.cold is not None else ())}

    def _check_answer(self, asked: Asked) -> None:
        answer, reference = asked.answer, asked.reference
        assert answer is not None
        assert answer.node == asked.target
        if answer.error is not None:
            allowed = asked.excuses | ({"node_failed"} if reference.fails else set())
            assert answer.code in allowed, answer.error
            return
        assert not reference.fails
        outputs = reference.outputs()
        expected = outputs[asked.target] if isinstance(asked.target, str) and asked.target != "*" else outputs
        assert answer.outputs == expected
        assert answer.meta["revision"] == asked.revision
        assert answer.meta["skipped"] == reference.skipped
        assert answer.meta["ran"] <= len(self._may_run(asked))
        self._check_streams(asked, answer)
        if not self.forgets and asked.cold is None:  # else what it ran before may be gone from the cache
            reference.remember()

    def _check_streams(self, asked: Asked, answer: Answer) -> None:
        for name, settled in asked.reference.settled.items():
            if not asked.graph.nodes[name].kind.streams or settled.outputs is None:
                continue
            whole = streamed_text(settled.outputs)
            surely = settled.ran and asked.alone and not self.forgets and not self._disturbed
            assert not asked.stream or answer.text(name) in ({whole} if surely else {whole, ""})
        assert asked.stream or not answer.chunks

    def _check_single_flight(self) -> None:
        """No two executions of one key at once."""
        keys: dict[Any, set[int]] = {}
        for asked in self.open:
            for key in self._may_run(asked):
                keys.setdefault(self.knowledge.identities[key], set()).add(key)
        for what, count in Counter(one.identity for one in self.at_door()).items():
            assert count <= len(keys[what]), f"{count} executions of {what} at once"

    def _check_counts(self) -> None:
        """Each key once: but for what failed or was cancelled, and what the cache has dropped."""
        begun = Counter(one.identity for one in self.floor.executions[self._since :])
        broken = Counter(one.identity for one in self.floor.executions if one.state == "broken" or one.given_up)
        for what, count in begun.items():
            most = len(self._lasting.get(what, ())) + self._once[what] + broken[what]
            assert count <= most, f"{what} was executed {count} times, instead of {most} at most"
        if not self.open and not self._disturbed and not self.forgets:
            exactly = self._once + Counter({what: len(keys) for what, keys in self._lasting.items()})
            assert begun == exactly, (begun - exactly, exactly - begun)

    def _check_rest(self) -> None:
        """Nothing is open, so nothing is under way; and where nothing disturbed it, all that was needed has run."""
        evaluator = self.evaluator
        assert not evaluator.runs
        assert not evaluator.flights
        assert not any(session.runs or session.ready for session in evaluator.sessions.values())
        assert evaluator.remembered_bytes == 0
        assert not self.at_door()
        assert not self.sink.breaches
        assert len(self.sink.answers) == len(self.asked)
        assert len(evaluator.memo) <= evaluator.memo.max_entries
        assert evaluator.memo.bytes >= 0
