"""What local models offer and need: load parameters, chat requests and events, the seams around workers.

Data and Protocols only. Nodes see `InferenceGateway` (as `ctx.service("inference")`); a host that wants to
start workers its own way replaces `ProcessSpawner`; a new kind of worker is one more `WorkerProfile`.
Everything here runs on the event loop's thread, and nothing may block it, unless a method says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from pathlib import Path

__all__ = [
    "Capabilities",
    "ChatDone",
    "ChatEvent",
    "ChatMessage",
    "ChatProgress",
    "ChatReasoning",
    "ChatRequest",
    "ChatText",
    "InferenceGateway",
    "LoadParameters",
    "ModelFile",
    "ModelLibrary",
    "ProcessSpawner",
    "Timings",
    "TokenUsage",
    "WorkerAddress",
    "WorkerCommand",
    "WorkerProcess",
    "WorkerProfile",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadParameters:
    """How a model is loaded. Requests with equal parameters for one file share one worker.

    Attributes:
        context_length: tokens of prompt and answer together, for each slot.
        gpu_layers: layers put on a GPU; -1 is as many as fit, 0 is none.
        slots: requests served at the same time, as far as the backend can; further ones wait in order.
        threads: threads that compute; None is the number of usable cores.
        batch_size: prompt tokens computed between two looks at whether the caller is still there.
    """

    context_length: int = 2048
    gpu_layers: int = -1
    slots: int = 4
    threads: int | None = None
    batch_size: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model file that exists and looks like GGUF. Two equal values mean the same unchanged file.

    Attributes:
        path: real path, symbolic links resolved.
        size: bytes.
        modified_ns: time of last change in nanoseconds.
    """

    path: str
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """One message of a conversation. `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A conversation to continue, and how to sample the answer. None means the backend's own default.

    Attributes:
        messages: the conversation; the model's own chat template makes the prompt of it.
        max_tokens: longest answer in tokens.
        temperature: 0 always takes the likeliest token.
        seed: makes sampling repeatable.
        stop: texts at which the answer ends; they are not part of it.
        top_p: sample among the likeliest tokens that make up this share.
        top_k: sample among this many likeliest tokens.
        min_p: leave out tokens less likely than this share of the likeliest.
        repeat_penalty: above 1 makes repetition less likely.
        grammar: GBNF grammar that the answer must follow.
        json_schema: JSON schema that the answer must follow.
    """

    messages: tuple[ChatMessage, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    grammar: str | None = None
    json_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ChatText:
    """A piece of the answer. Borders mean nothing: a piece may hold several tokens."""

    text: str


@dataclass(frozen=True, slots=True)
class ChatReasoning:
    """A piece of what a reasoning model thinks before it answers; not part of the answer."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatProgress:
    """How far the prompt is read: `processed` of `total` tokens, of which `cached` were known already."""

    processed: int
    total: int
    cached: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Token counts as the backend reports them. `cached` are prompt tokens that needed no computing."""

    prompt: int
    completion: int
    cached: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """The backend's own measure of its work, in milliseconds and tokens per second."""

    prompt_ms: float
    completion_ms: float
    completion_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatDone:
    """The last event of an answer.

    Attributes:
        finish_reason: `stop` (the model ended it), `length` (a limit was reached), or a provider's own word.
        usage: token counts, if reported.
        timings: the backend's own measure, if reported.
    """

    finish_reason: str
    usage: TokenUsage | None = None
    timings: Timings | None = None


ChatEvent = ChatText | ChatReasoning | ChatProgress | ChatDone


class InferenceGateway(Protocol):
    """Runs models in worker processes. Injected into nodes as the service `inference`."""

    def chat(
        self, model_path: str, request: ChatRequest, parameters: LoadParameters = LoadParameters()
    ) -> AsyncGenerator[ChatEvent, None]:
        """Answer a conversation, starting the model's worker first if it is not running.

        The events end with one `ChatDone`. Closing the iterator, or cancelling the task that reads it, frees
        the worker's slot, also while the prompt is still being read. Use `contextlib.aclosing`.

        Raises:
            InferenceError: while iterating. `model_not_found`, `invalid_model`, `backend_unavailable`,
                `backend_timeout`, `backend_crashed` (at once when the worker dies), `context_exceeded`,
                `backend_unsupported` (the backend cannot do what the request asks for), or `backend_failed` with
                the worker's own words.
        """

    async def unload(self, model_path: str) -> int:
        """Stop the workers of that model once their requests have ended; the number of workers stopped.

        A path that names no model, or one that is not loaded, gives 0.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerAddress:
    """Where a worker listens: a UNIX socket, or a TCP port of this machine with a key.

    Attributes:
        socket_path: path of the UNIX socket, or None for TCP.
        url: `http://127.0.0.1:<port>` for TCP; the port is 0 until the worker has said which it took.
        api_key: must be sent with each request over TCP, because every user of the machine can connect.
    """

    socket_path: str | None = None
    url: str = "http://localhost"
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCommand:
    """How to start a process. `env` is laid over the spawner's own base environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)


@runtime_checkable
class WorkerProcess(Protocol):
    """A started process. Its standard input is its life line: closed means "end yourself"."""

    @property
    def pid(self) -> int:
        """The operating system's process id."""

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative if a signal ended it."""

    def output_tail(self) -> str:
        """The last part of what it wrote, as text. Bounded."""

    async def read_line(self) -> bytes | None:
        """The next line of its standard output without the line end; None when no more can come."""

    async def wait(self) -> int:
        """Wait for the process itself to end, no matter who still holds its pipes; the return code."""

    def on_exit(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called on the loop when the process has ended, at once if it already has.

        Returns:
            A function that takes the callback back.
        """

    async def stop(self) -> int:
        """End it: close the life line, then ask (SIGTERM), then force (SIGKILL of its group). Idempotent.

        A cancelled stop still forces the end.
        """


class ProcessSpawner(Protocol):
    """Starts worker processes. A host may bring its own, for example to start them in another container."""

    async def spawn(self, command: WorkerCommand) -> WorkerProcess:
        """Start a process in its own session, with a pipe as standard input and no other file of ours.

        Called on the loop's thread, and must start the process from that same thread: on Linux a child asks
        to be killed when the *thread* that started it ends.

        Raises:
            InferenceError: `backend_unavailable` if the program cannot be started.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """In what a kind of worker differs from llama.cpp's own server, which can do all of this.

    Attributes:
        max_slots: requests it serves at the same time at most; more slots than that are not made.
        grammar: an answer can be bound to a grammar or a JSON schema; where not, such a request is refused with
            `backend_unsupported`.
        cancel_in_prompt: a caller who leaves while the prompt is read frees the slot; where not, the worker is
            started anew.
        progress: `ChatProgress` comes while the prompt is read.
        timings: `ChatDone.timings` is given.
        unix_socket: it can listen on a UNIX socket; where not, on a TCP port of this machine, with a key.
    """

    max_slots: int = 256
    grammar: bool = True
    cancel_in_prompt: bool = True
    progress: bool = True
    timings: bool = True
    unix_socket: bool = True


class WorkerProfile(Protocol):
    """One kind of worker: what to start for a model file, and how to see that it listens."""

    @property
    def name(self) -> str:
        """Short name for messages, such as `xllamacpp`."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do. Final once `check_available` has been called."""

    @property
    def health_path(self) -> str:
        """The resource that answers with status 200 once the model is loaded."""

    def check_available(self) -> None:
        """See whether the program is installed. May read disks: called in a thread, once before a start.

        Raises:
            InferenceError: `backend_unavailable`, with the command that installs it.
        """

    def check_parameters(self, parameters: LoadParameters) -> None:
        """See whether the worker can bear these parameters. Cheap, called on the loop.

        Raises:
            InferenceError: `invalid_input`, saying what is allowed.
        """

    def command(self, model: ModelFile, parameters: LoadParameters, address: WorkerAddress) -> WorkerCommand:
        """What to start so that it serves that model at that address."""

    def address(self, line: bytes, asked: WorkerAddress) -> WorkerAddress | None:
        """The address a line of the worker's standard output announces, or None if it is no such line."""

    def start_failure(self, returncode: int) -> str | None:
        """The error code for a worker that ended with that exit status during its start.

        `invalid_model` if it refused the file, `backend_unavailable` if its program cannot run on this machine, None
        for anything else, which is a crash.
        """


class ModelLibrary(Protocol):
    """Finds installed models by name, so that graphs need not say where they are. Given to the gateway."""

    def path(self, name: str) -> Path | None:
        """The file of an installed model, or None if no model of that name is installed. May read disks."""
