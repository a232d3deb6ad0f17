"""A node that does its worst harms its own demand: the engine goes on, and demands of other sessions are answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.faults import hostile_nodes, hostile_values

if TYPE_CHECKING:
    from tests.faults.conftest import SharedEngine

FINE: Final = "complete"

# Node type: what its demand is answered with.
NODES: Final = {
    "prints-a-flood": FINE,
    "writes-a-flood": FINE,
    "writes-a-flood-on-the-loop": FINE,
    "floods-from-c": FINE,
    "floods-from-a-child": FINE,
    "logs-a-flood": FINE,
    "prints-one-endless-line": FINE,
    "writes-bytes-that-are-no-text": FINE,
    "changes-the-process": FINE,
    "changes-signal-handlers": FINE,
    "changes-asyncio": FINE,
    "changes-logging": FINE,
    "replaces-standard-streams": FINE,
    "stops-the-collector": FINE,
    "turns-warnings-into-errors": FINE,
    "leaves-threads-behind": FINE,
    "leaves-a-dying-thread-behind": FINE,
    "leaves-a-dying-task-behind": FINE,
    "leaves-a-dying-callback-behind": FINE,
    "stops-the-loop": FINE,
    "closes-the-loop": "node_failed",
    "cancels-itself": "node_failed",
    "cancels-itself-and-goes-on": FINE,
    "raises-base-exception": "node_failed",
    "raises-keyboard-interrupt-on-the-loop": "node_failed",
    "raises-system-exit-on-the-loop": "node_failed",
    "raises-generator-exit-after-a-wait": "node_failed",
    "raises-system-exit-after-a-wait": "node_failed",
    "raises-cancelled-error": "node_failed",
    "raises-stop-iteration": "node_failed",
    "raises-what-cannot-be-told": "node_failed",
    "raises-what-cannot-be-told-on-the-loop": "node_failed",
    "raises-what-cannot-be-told-after-a-wait": "node_failed",
    "raises-what-has-no-text": "node_failed",
    "raises-what-hides": "node_failed",
    "raises-a-group-of-thousands": "node_failed",
    "raises-our-error-with-fields-of-wrong-types": "node_failed",
    "raises-our-error-with-a-code-of-its-own": "node_failed",
    "raises-our-error-that-does-not-travel": "internal_error",
    "recurses-without-end": "node_failed",
    "recurses-without-end-on-the-loop": "node_failed",
    "streams-to-nobody": "undeclared_output",
    "returns-a-map-that-exits": "unencodable_value",
    "progresses-with-nonsense": FINE,
}
GIVERS: Final = ("gives-from-a-thread", "gives-on-the-loop", "gives-after-a-wait")
STREAMERS: Final = ("streams-on-the-loop", "streams-from-a-thread")
BESIDE: Final = ("bystander", "release", "cancels-every-task")


def test_every_node_has_its_line() -> None:
    types = {
        name.replace("_", "-")
        for module in (hostile_nodes, hostile_values)
        for name, one in vars(module).items()
        if hasattr(one, "__graphport_node__")
    }

    assert types == {*NODES, *GIVERS, *STREAMERS, *BESIDE}
    assert len(NODES) >= 44
    assert len(hostile_values.VALUES) >= 25


@pytest.mark.parametrize("kind", NODES)
def test_a_hostile_node_harms_only_its_own_demand(shared: SharedEngine, kind: str) -> None:
    answer = shared.demand_beside_others(kind)

    assert outcome(answer) == NODES[kind]
    if NODES[kind] == "node_failed":
        assert answer[3]["node_id"] == "n"


@pytest.mark.parametrize("giver", GIVERS)
@pytest.mark.parametrize("what", sorted(hostile_values.VALUES.keys() - hostile_values.SOUND_AS_COPIES))
def test_a_value_without_a_form_fails_the_demand_alone(shared: SharedEngine, giver: str, what: str) -> None:
    answer = shared.demand_beside_others(giver, what=what)

    assert outcome(answer) == "unencodable_value"
    assert answer[3]["node_id"] == "n"


@pytest.mark.parametrize("streamer", STREAMERS)
@pytest.mark.parametrize("what", hostile_values.VALUES)
def test_a_chunk_without_a_form_fails_its_node(shared: SharedEngine, streamer: str, what: str) -> None:
    answer = shared.demand_beside_others(streamer, what=what, options={"stream": True})

    assert outcome(answer) == "unencodable_value"
    assert answer[3]["node_id"] == "n"


@pytest.mark.parametrize("streamer", STREAMERS)
@pytest.mark.parametrize("what", hostile_values.VALUES)
def test_a_chunk_that_nobody_heard_fails_who_hears_it_later(shared: SharedEngine, streamer: str, what: str) -> None:
    unheard = shared.demand_beside_others(streamer, what=what)
    heard = shared.demand_beside_others(streamer, what=what, options={"stream": True})

    assert outcome(unheard) == FINE
    assert outcome(heard) == "unencodable_value"


@pytest.mark.parametrize("giver", GIVERS)
@pytest.mark.parametrize("what", sorted(hostile_values.SOUND_AS_COPIES))
def test_a_value_that_a_copy_makes_sound_arrives(shared: SharedEngine, giver: str, what: str) -> None:
    assert outcome(shared.demand_beside_others(giver, what=what)) == FINE


@pytest.mark.parametrize("giver", [*GIVERS, *STREAMERS])
@pytest.mark.parametrize("what", hostile_values.FINE)
def test_a_strange_value_with_a_form_arrives(shared: SharedEngine, giver: str, what: str) -> None:
    assert outcome(shared.demand_beside_others(giver, what=what, options={"stream": True})) == FINE


def test_tasks_that_another_node_cancels_are_failures_of_theirs(shared: SharedEngine) -> None:
    """Tasks of one loop can always reach one another; what counts is that each is answered and the engine lives."""
    bystander = shared.start("bystander", number=1)
    answer = shared.demand("cancels-every-task")

    assert outcome(answer) == FINE
    assert outcome(shared.engine.answer(bystander)) == "node_failed"
    shared.engine.ping()


def outcome(answer: list[Any]) -> str:
    return FINE if answer[0] == "demand_complete" else str(answer[3]["code"])
