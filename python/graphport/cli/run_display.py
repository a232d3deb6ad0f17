"""What `graphport run` shows while a demand is evaluated: text for people, or a JSON object per line for programs.

Text of the demanded path goes to standard output, all else to standard error. Called by `run`, on the loop's thread.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from graphport.app.local_run import Chunk, Progress
from graphport.cli.output import complain, harmless, to_json

if TYPE_CHECKING:
    from graphport.app.local_run import Ending
    from graphport.contracts.node import NodeSpec
    from graphport.core.errors import GraphportError


class Display(Protocol):
    """Takes what happens, then the last message."""

    def show(self, event: Chunk | Progress) -> None:
        """Something happened on the way."""

    def end(self, ending: Ending) -> None:
        """The demand is answered."""

    def close(self) -> None:
        """Leave the terminal as it was, however the run ended."""


class JsonLines:
    """One object per line: `node_stream` events, then `demand_complete` or `demand_error`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, event: Chunk | Progress) -> None:
        """Write a chunk; progress is for people."""
        if isinstance(event, Chunk):
            self._write({"event": "node_stream", "node": event.node, "port": event.port, "chunk": event.value})

    def end(self, ending: Ending) -> None:
        """Write the last object."""
        if ending.error is not None:
            self._write({"event": "demand_error", "node": ending.node, "error": ending.error.to_wire()})
            return
        outputs = {"outputs": ending.outputs, "meta": ending.meta}
        self._write({"event": "demand_complete", "node": ending.node, **outputs})

    def close(self) -> None:
        """Nothing to do."""

    def _write(self, event: dict[str, Any]) -> None:
        self._out.write(f"{to_json(event)}\n")
        self._out.flush()


class Text:
    """The streamed text as it comes, and which nodes are at work.

    On a terminal a line with a spinner says what is at work while no text comes; elsewhere each node has a line.
    """

    def __init__(
        self,
        out: TextIO,
        target: NodeSpec | None,
        voices: frozenset[tuple[str, str]],
        *,
        traceback: bool = False,
    ) -> None:
        """Make the display.

        Args:
            out: standard output.
            target: the demanded node's spec.
            voices: the streamed outputs to show. The first that speaks is shown; texts mixed together help nobody.
            traceback: whether to show where in Python a node failed.
        """
        self._out = out
        self._target = target
        self._voices = voices
        self._traceback = traceback
        self._voice: tuple[str, str] | None = None
        self._said: list[str] = []
        self._announced: set[str] = set()
        self._spinner = _Spinner() if sys.stderr.isatty() else None
        self._on_terminal = out.isatty()

    def show(self, event: Chunk | Progress) -> None:
        """Write text, or say what is at work."""
        if isinstance(event, Progress):
            self._progress(event)
            return
        voice = (event.node, event.port)
        if not isinstance(event.value, str) or (self._voice is None and voice not in self._voices):
            return
        if self._voice is None:
            self._voice = voice
        if voice != self._voice:
            return
        if self._spinner is not None and self._on_terminal:
            # Two cursors on one screen: the text has it from here on.
            self._spinner.stop()
        self._said.append(event.value)
        self._write(event.value)

    def end(self, ending: Ending) -> None:
        """Write the answer, unless it is the text that was streamed; or say what went wrong."""
        self.close()
        said = "".join(self._said)
        if ending.error is not None:
            if said:
                self._write("\n")
            explain(ending.error, traceback=self._traceback)
            return
        if ending.meta.get("skipped"):
            complain(f"node {ending.node!r} was skipped: it lies behind a branch that was not taken")
            return
        answer = self._answer(ending.outputs or {})
        if said != answer:
            if said and not said.endswith("\n"):
                self._write("\n")
            self._write(answer)
        if not answer.endswith("\n"):
            self._write("\n")

    def close(self) -> None:
        """Take the spinner away."""
        if self._spinner is not None:
            self._spinner.stop()

    def _answer(self, outputs: dict[str, Any]) -> str:
        """The outputs as text: the only one, or the streamed one, as it is; several with their names."""
        shown = [port for port in self._target.outputs if not port.hidden] if self._target is not None else []
        streamed = [port for port in shown if port.stream]
        ports = [port.name for port in (streamed[:1] or shown) if port.name in outputs]
        if len(ports) == 1:
            return _as_text(outputs[ports[0]])
        return "".join(f"{name}: {_as_text(outputs[name])}\n" for name in ports or outputs)

    def _progress(self, progress: Progress) -> None:
        count = f"[{progress.settled}/{progress.total}]"
        if self._spinner is not None:
            if progress.running and not (self._on_terminal and self._said):
                at_work = (f"{node} ({words})" if words else node for node, words in progress.running)
                self._spinner.say(f"{count} {', '.join(at_work)}")
            return
        for node, _ in progress.running:
            if node not in self._announced:
                self._announced.add(node)
                complain(f"{count} {node} …")

    def _write(self, text: str) -> None:
        if text:
            self._out.write(harmless(text) if self._on_terminal else text)
            self._out.flush()


class _Spinner:
    """One line on standard error that turns while work is done."""

    def __init__(self) -> None:
        from rich.console import Console

        self._status = Console(stderr=True, highlight=False).status("")
        self._turning = False

    def say(self, text: str) -> None:
        """Show a text beside it."""
        from rich.markup import escape

        self._status.update(escape(harmless(text)))
        if not self._turning:
            self._turning = True
            self._status.start()

    def stop(self) -> None:
        """Take the line away."""
        if self._turning:
            self._turning = False
            self._status.stop()


def explain(error: GraphportError, *, traceback: bool) -> None:
    """Say what went wrong, on standard error; with the node's own Python frames if wanted."""
    where = f"node {error.node_id!r}: " if error.node_id and repr(error.node_id) not in error.message else ""
    complain(f"{where}{error.message} [{error.code}]")
    if error.traceback_text is None:
        return
    if traceback:
        sys.stderr.write(f"{harmless(error.traceback_text).rstrip()}\n")
    else:
        sys.stderr.write("(--traceback shows where)\n")


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value)
