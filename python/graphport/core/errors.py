"""Every error of the package, in one tree, each with a stable code.

    GraphportError
    ├── WireError        bad_frame, bad_message, protocol_mismatch, too_large, unencodable_value
    ├── LookupFailed     unknown_session, unknown_node, unknown_type, duplicate_id, invalid_nodes
    ├── GraphInvalid     invalid_graph          (carries every fault found)
    ├── NodeError        node_failed, host_node_failed, undeclared_output, missing_output, missing_input, invalid_input
    │   └── InputAwaited waiting_for_input
    ├── DemandStopped    deadline_exceeded, cancelled, shutting_down
    ├── InferenceError   backend_crashed, backend_unavailable, backend_failed, backend_timeout, backend_unsupported,
    │                    model_not_found, invalid_model, context_exceeded
    ├── StoreError       store_failed
    ├── ErlPortNotFound  erlport_not_found      (also an ImportError)
    └── InternalError    internal_error

A code is what programs compare; a message is what a person reads. Nothing matches an error by its text.
`CODES` is the one list: the wire vectors export it and both languages test that theirs is equal.
Codes that only the BEAM makes (`engine_down`, `unknown_instance` …) stand in the same list.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

CODES: Final[dict[str, str]] = {
    "backend_crashed": "The model worker process died while it had work.",
    "backend_failed": "The model worker answered with an error.",
    "backend_timeout": "The model worker gave no sign of life in time.",
    "backend_unavailable": "No model backend that can serve the request is installed or reachable.",
    "backend_unsupported": "The model backend in use cannot do what the request asks for.",
    "bad_frame": "A frame is not MessagePack or is longer than allowed; the pipe is closed.",
    "bad_message": "A message has an unknown name, a wrong arity or a wrong type.",
    "cancelled": "The demand was cancelled before it was done.",
    "context_exceeded": "The prompt does not fit into the model's context.",
    "cycle": "Nodes of the graph depend on each other in a circle.",
    "dangling_edge": "An edge names a node or a port that does not exist.",
    "deadline_exceeded": "The deadline passed before the demand was done.",
    "duplicate_edge": "Two edges lead to one port that takes a single value.",
    "duplicate_id": "The same id is used twice.",
    "engine_down": "The engine process ended before it answered. The work may have been done.",
    "erlport_not_found": "ErlPort is not installed on one of the two sides, or is one that cannot be used.",
    "host_node_failed": "A node that the BEAM runs failed there.",
    "incompatible_ports": "An edge joins ports whose value types do not fit.",
    "iterations_exceeded": "A loop did not end within its `max_iterations`.",
    "internal_error": "Graphport itself failed; the log says where.",
    "invalid_graph": "The graph cannot be loaded; `details.faults` lists everything that is wrong with it.",
    "invalid_input": "A value given to a port is not of the port's type or outside its limits.",
    "invalid_model": "The model file is not one that the backend can load.",
    "invalid_nodes": "A module of node types could not be loaded.",
    "missing_input": "A required input has no edge, no value and no default.",
    "missing_output": "A node did not return an output that it declares.",
    "model_not_found": "There is no model file at the given path.",
    "node_failed": "A node raised an exception.",
    "overloaded": "The engine did not take the message before the caller's deadline.",
    "protocol_mismatch": "The two sides speak different versions of the protocol.",
    "python_not_found": "No usable Python with graphport installed was found.",
    "shutting_down": "The engine is stopping and takes no new demands.",
    "store_failed": "A cache store cannot be opened, read or written.",
    "too_large": "A value is larger than the wire carries, or a graph than the engine takes.",
    "undeclared_output": "A node returned an output that it does not declare.",
    "unencodable_value": "A value has no form on the wire.",
    "unknown": "An error code that this version does not know.",
    "unknown_edge": "The session's graph has no such edge.",
    "unknown_graph": "A node holds a graph by a name that `graphs` does not have.",
    "unknown_instance": "No instance of that name runs in this BEAM.",
    "unknown_node": "The session's graph has no node of that id.",
    "unknown_session": "No session of that id is open.",
    "unknown_type": "No node type of that name is installed.",
    "waiting_for_input": "A node waits for a person's answer, and the demand does not.",
}


class GraphportError(Exception):
    """Root of all errors of the package.

    Attributes:
        code: stable `snake_case` word, a key of `CODES`.
        message: a sentence a person can act on.
        node_id: the node the error belongs to, if any.
        details: more facts, plain data only.
        retry_after_ms: milliseconds after which a new try makes sense, if known.
        traceback_text: Python traceback of the cause, if the cause was foreign code.
        exception_name: class name of the foreign exception, if there was one.
    """

    default_code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        node_id: str | None = None,
        details: dict[str, Any] | None = None,
        retry_after_ms: int | None = None,
        traceback_text: str | None = None,
        exception_name: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code or self.default_code
        self.message = message
        self.node_id = node_id
        self.details = details
        self.retry_after_ms = retry_after_ms
        self.traceback_text = traceback_text
        self.exception_name = exception_name

    def to_wire(self) -> dict[str, Any]:
        """The error as the map that travels on the wire; absent fields are left out."""
        fields = {
            "code": self.code,
            "message": self.message,
            "node_id": self.node_id,
            "exception": self.exception_name,
            "traceback": self.traceback_text,
            "retry_after_ms": self.retry_after_ms,
            "details": self.details,
        }
        return {name: value for name, value in fields.items() if value is not None}


class WireError(GraphportError):
    """A frame or message breaks the protocol, or a value has no form on the wire."""

    default_code = "bad_message"


class LookupFailed(GraphportError):
    """A session, node or node type that was named does not exist, or an id is taken."""

    default_code = "unknown_node"


class GraphInvalid(GraphportError):
    """A graph cannot be loaded. `details["faults"]` holds every fault: maps of code, message, node, port."""

    default_code = "invalid_graph"


class NodeError(GraphportError):
    """A node raised, or its inputs or outputs break its declaration."""

    default_code = "node_failed"


class InputAwaited(NodeError):
    """A node has no answer of a person yet. `details["prompt"]` is what the person is asked."""

    default_code = "waiting_for_input"

    def __init__(self, prompt: str) -> None:
        super().__init__(
            f"the node waits for an answer to {prompt[:200]!r}: give it one, or demand with `wait`",
            details={"prompt": prompt},
        )


class DemandStopped(GraphportError):
    """A demand ended without an answer from its node: deadline, cancel or shutdown."""

    default_code = "cancelled"


class InferenceError(GraphportError):
    """A model backend failed, is missing, or refused a model or prompt."""

    default_code = "backend_failed"


class StoreError(GraphportError):
    """A store of results cannot be used. Demands go on without it."""

    default_code = "store_failed"


class ErlPortNotFound(GraphportError, ImportError):
    """ErlPort's Python code cannot be loaded, or did not start this process."""

    default_code = "erlport_not_found"


class InternalError(GraphportError):
    """A fault of graphport itself."""

    default_code = "internal_error"
