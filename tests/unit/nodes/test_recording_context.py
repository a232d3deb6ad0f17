"""The double that stands in for the run context in tests of nodes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from graphport.core.errors import GraphportError, NodeError
from graphport.testing import RecordingContext, RecordingThreadContext

if TYPE_CHECKING:
    from graphport.contracts.run_context import RunContext, ThreadRunContext


def test_both_contexts_fulfil_their_contracts() -> None:
    context: RunContext = RecordingContext(node_id="n", node_type="t")
    threaded: ThreadRunContext = RecordingThreadContext()

    assert (context.node_id, context.node_type, context.cancelled) == ("n", "t", False)
    assert threaded.log.name == "graphport.node.test"


def test_chunks_are_written_down_in_order() -> None:
    context, threaded = RecordingContext(), RecordingThreadContext()

    async def talk() -> None:
        await context.stream("text", "a")
        await context.stream("other", "b")

    asyncio.run(talk())
    threaded.stream("text", "c")

    assert context.chunks == [("text", "a"), ("other", "b")]
    assert (context.text(), context.text("other"), threaded.text()) == ("ab", "b", "c")


def test_a_port_that_is_not_streamed_is_refused() -> None:
    with pytest.raises(NodeError) as caught:
        RecordingThreadContext(streams=["text"]).stream("txt", "a")

    assert caught.value.code == "undeclared_output"


def test_services_are_found_by_name() -> None:
    context = RecordingContext(services={"models": 7})

    assert context.service("models") == 7
    with pytest.raises(GraphportError) as caught:
        context.service("model")
    assert caught.value.code == "backend_unavailable"
