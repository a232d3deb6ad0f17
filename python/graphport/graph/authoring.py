"""The decorator `node`, which makes a node type of a Python function.

Everything is looked at once, when the module is imported: what is declared wrongly raises `TypeError` there,
naming the function and the parameter. Must not run nodes, and a run of a node inspects nothing. Used by the
core nodes and by users' modules.

    @node
    def shout(text: str, times: int = 1) -> str:
        "Repeats a text in capitals."
        return " ".join([text.upper()] * times)

The function itself is returned unchanged, so it can be called and tested like any other.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from pydantic import ValidationError

from graphport.contracts.cache_policy import CachePolicy
from graphport.contracts.node import Effect, Execution, NodeSpec, NodeType, PortSpec
from graphport.graph.code_digest import code_digest
from graphport.graph.handlers import Calling, make_handler
from graphport.graph.port_types import check_value, type_of

if TYPE_CHECKING:
    from types import ModuleType

_Function = TypeVar("_Function", bound=Callable[..., Any])
Ports = Mapping[str, Any] | Iterable[PortSpec]

ATTRIBUTE: Final = "__graphport_node__"
_CONTEXTS: Final = ("RunContext", "ThreadRunContext")
_RAW_NAME: Final = "inputs"


@overload
def node(function: _Function, /) -> _Function: ...


@overload
def node(
    *,
    type: str | None = ...,
    inputs: Ports | None = ...,
    outputs: Ports | None = ...,
    version: str = ...,
    title: str | None = ...,
    category: str = ...,
    description: str | None = ...,
    effect: Effect = ...,
    execution: Execution | None = ...,
    stream: bool | Iterable[str] = ...,
    gate: bool = ...,
    content_digest: bool = ...,
    timeout_ms: int | None = ...,
    services: Iterable[str] = ...,
    trusted: bool = ...,
    cache: CachePolicy | None = ...,
    identity: Callable[[Mapping[str, Any]], Any] | None = ...,
) -> Callable[[_Function], _Function]: ...


def node(
    function: Callable[..., Any] | None = None,
    /,
    *,
    type: str | None = None,
    inputs: Ports | None = None,
    outputs: Ports | None = None,
    version: str = "1",
    title: str | None = None,
    category: str = "other",
    description: str | None = None,
    effect: Effect = "pure",
    execution: Execution | None = None,
    stream: bool | Iterable[str] = False,
    gate: bool = False,
    content_digest: bool = False,
    timeout_ms: int | None = None,
    services: Iterable[str] = (),
    trusted: bool = False,
    cache: CachePolicy | None = None,
    identity: Callable[[Mapping[str, Any]], Any] | None = None,
) -> Any:
    """Declare a function to be a node type.

    Each parameter is an input port, typed by its hint, required unless it has a default. A parameter named
    `ctx`, or annotated `RunContext` or `ThreadRunContext`, receives the run context instead.

    Args:
        function: the function, when the decorator is used bare.
        type: name in graphs; else the function's name with `-` for `_`.
        inputs: ports that replace those of the parameters of the same name: `PortSpec`s, or name → type hint.
            With a single parameter `inputs: dict`, the function receives the whole map of these inputs.
        outputs: `PortSpec`s, or name → type hint; else the keys of a returned `TypedDict`, else one `value`.
            With one output the function returns its value, with several a map of output to value.
        version: raise it when results change although the file does not.
        title: name for people; else made from the type.
        category: group for people.
        description: else the docstring's first line.
        effect: see `NodeSpec`.
        execution: else `async` for `async def` and `thread` for `def`. `inline` promises < 1 ms and no I/O.
        stream: the output ports that are streamed by `ctx.stream`; True for a sole output.
        gate: the outputs are branches; the function returns a map of those it takes.
        content_digest: see `NodeSpec`.
        timeout_ms: the longest a run may take.
        services: names of the services that the function asks for; a graph is refused if one is not there.
        trusted: the function never changes the lists and maps it is given, so it need not get copies.
        cache: how results are kept, for `pure` and `seeded` nodes; see `CachePolicy`.
        identity: what a result depends on beside the inputs, a function of them; see `NodeType`.

    Raises:
        TypeError: the declaration is wrong.
    """

    def declare(target: _Function) -> _Function:
        reading = _Declaration(target, inputs)
        out_ports, returns_map = reading.outputs(outputs, stream)
        doc = (inspect.getdoc(target) or "").partition("\n")[0]
        name = type or target.__name__.strip("_").replace("_", "-")
        try:
            spec = NodeSpec(
                type=name,
                version=version,
                title=title if title is not None else name.replace("-", " ").capitalize(),
                category=category,
                description=description if description is not None else doc,
                inputs=reading.inputs,
                outputs=out_ports,
                effect=effect,
                execution=reading.execution(execution),
                gate=gate,
                content_digest=content_digest,
                timeout_ms=timeout_ms,
                services=tuple(services),
            )
        except ValidationError as error:
            raise reading.wrong(_first(error)) from error
        reading.check_cache(cache, effect)
        single = None if gate or returns_map or len(out_ports) != 1 else out_ports[0].name
        calling = Calling(
            raw=reading.raw,
            context=reading.context,
            output=single,
            empty=not out_ports,
            is_async=reading.is_async,
        )
        handler = make_handler(target, calling)
        made = NodeType(
            spec=spec,
            handler=handler,
            code_digest=code_digest(target),
            trusted=trusted,
            cache=cache,
            identity=identity,
        )
        setattr(target, ATTRIBUTE, made)
        return target

    return declare if function is None else declare(function)


def node_type_of(function: Callable[..., Any]) -> NodeType:
    """The node type that `node` made of this function.

    Raises:
        TypeError: the function was not decorated.
    """
    found = getattr(function, ATTRIBUTE, None)
    if not isinstance(found, NodeType):
        raise TypeError(f"{function!r} is no node; decorate it with @node.")
    return found


def node_types_of(module: ModuleType) -> list[NodeType]:
    """All node types that a module holds, its own and imported ones, each once, in the module's order."""
    found: dict[int, NodeType] = {}
    for value in list(vars(module).values()):
        # Only functions are asked for the attribute: other objects may answer to any name.
        one = getattr(value, ATTRIBUTE, None) if inspect.isfunction(value) else value
        if isinstance(one, NodeType):
            found.setdefault(id(one), one)
    return list(found.values())


class _Declaration:
    """A function as it was written: its ports, and how it wants to be called."""

    def __init__(self, function: Any, inputs: Ports | None) -> None:
        if not inspect.isfunction(function):
            raise TypeError(f"@node takes a function, got {function!r}.")
        self._function = function
        self._where = f"Node function {function.__module__}.{function.__qualname__}"
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise self.wrong("it yields; return the result, and send chunks with ctx.stream(port, chunk)")
        self.is_async = inspect.iscoroutinefunction(function)
        self.context: str | None = None
        self.raw = False
        parameters = [one for one in inspect.signature(function).parameters.values() if not self._is_context(one)]
        given = {port.name: port for port in self._ports(inputs, "inputs", required=True)} if inputs is not None else {}
        if inputs is not None and len(parameters) == 1 and self._is_raw(parameters[0]):
            self.raw = True
            self.inputs = tuple(given.values())
        else:
            self.inputs = tuple(self._input_ports(parameters, given))
        for port in self.inputs:
            self._check_default(port)

    def wrong(self, what: str) -> TypeError:
        """The error to raise, naming the function."""
        return TypeError(f"{self._where}: {what}.")

    def check_cache(self, policy: CachePolicy | None, effect: Effect) -> None:
        """A policy says how results are kept, so they must be ones that may be kept."""
        if policy is None:
            return
        if not isinstance(policy, CachePolicy):
            raise self.wrong(f"cache should be a CachePolicy, got {policy!r}")
        if effect not in ("pure", "seeded"):
            raise self.wrong(f"results of a node with effect={effect!r} are never kept, so it can have no cache=")

    def execution(self, wanted: Execution | None) -> Execution:
        """How the node runs; must agree with the way the function is written."""
        if wanted is None:
            return "async" if self.is_async else "thread"
        if (wanted == "async") != self.is_async:
            written = "async def" if self.is_async else "def"
            raise self.wrong(f"execution={wanted!r} does not go with {written}")
        return wanted

    def outputs(self, declared: Ports | None, stream: bool | Iterable[str]) -> tuple[tuple[PortSpec, ...], bool]:
        """The output ports, and whether the function returns a map of them even if there is just one."""
        hint = self._hint("return", self._function.__annotations__.get("return", Any))
        returns_map = False
        if declared is not None:
            ports = self._ports(declared, "outputs", required=False)
            sole = ports[0].type if len(ports) == 1 else "any"
            # `-> dict` with a sole output that is no map can only mean a map of the outputs.
            returns_map = self.raw or typing.is_typeddict(hint) or (type_of(hint) == "map" and sole not in _MAP_LIKE)
        elif typing.is_typeddict(hint):
            hints = typing.get_type_hints(hint)
            ports = [PortSpec(name=name, type=type_of(one)) for name, one in hints.items()]
            returns_map = True
        elif hint is None or hint is type(None):
            ports = []
        elif self.raw:
            raise self.wrong("a function that takes the map of inputs needs outputs=")
        else:
            ports = [PortSpec(name="value", type=type_of(hint))]
        return tuple(self._streamed(ports, stream)), returns_map

    def _streamed(self, ports: list[PortSpec], stream: bool | Iterable[str]) -> list[PortSpec]:
        if stream is False:
            return ports
        if stream is True:
            if len(ports) != 1:
                raise self.wrong(f"stream=True needs exactly one output, it has {len(ports)}; name the streamed ports")
            names = {ports[0].name}
        else:
            names = {stream} if isinstance(stream, str) else set(stream)
        unknown = names - {port.name for port in ports}
        if unknown:
            raise self.wrong(f"stream names {sorted(unknown)[0]!r}, which is no output")
        return [port.model_copy(update={"stream": True}) if port.name in names else port for port in ports]

    def _ports(self, declared: Ports, what: str, *, required: bool) -> list[PortSpec]:
        if isinstance(declared, Mapping):
            ports = [PortSpec(name=name, type=type_of(hint), required=required) for name, hint in declared.items()]
        else:
            ports = list(declared)
        for port in ports:
            if not isinstance(port, PortSpec):
                raise self.wrong(f"{what} should be PortSpecs or a map of name to type, got {port!r}")
        names = [port.name for port in ports]
        for name in names:
            if names.count(name) > 1:
                raise self.wrong(f"{what} has two ports {name!r}")
        return ports

    def _is_context(self, parameter: inspect.Parameter) -> bool:
        hint = parameter.annotation
        # The hint is compared as text, since the name is usually imported for type checkers only.
        text = hint if isinstance(hint, str) else getattr(hint, "__name__", "")
        if parameter.name != "ctx" and text.rpartition(".")[2].strip("\"' ") not in _CONTEXTS:
            return False
        if self.context is not None:
            raise self.wrong(f"parameters {self.context!r} and {parameter.name!r} both ask for the context")
        self.context = parameter.name
        return True

    def _is_raw(self, parameter: inspect.Parameter) -> bool:
        if parameter.name != _RAW_NAME:
            return False
        return type_of(self._hint(parameter.name, parameter.annotation)) == "map"

    def _input_ports(self, parameters: list[inspect.Parameter], given: dict[str, PortSpec]) -> Iterable[PortSpec]:
        takes_more = False
        for parameter in parameters:
            name = parameter.name
            if parameter.kind is inspect.Parameter.VAR_KEYWORD and given:
                takes_more = True
            elif parameter.kind not in (
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                inspect.Parameter.KEYWORD_ONLY,
            ):
                raise self.wrong(f"parameter {name!r} cannot be an input port; ports are passed by name")
            else:
                yield self._input_port(parameter, given.pop(name, None))
        if given and not takes_more:
            raise self.wrong(f"inputs has the port {next(iter(given))!r}, but there is no parameter of that name")
        yield from given.values()

    def _input_port(self, parameter: inspect.Parameter, given: PortSpec | None) -> PortSpec:
        has_default = parameter.default is not inspect.Parameter.empty
        default = parameter.default if has_default else None
        if given is not None:
            if has_default and "default" not in given.model_fields_set:
                return given.model_copy(update={"default": default, "required": False})
            return given
        hint = self._hint(parameter.name, parameter.annotation)
        return PortSpec(
            name=parameter.name,
            type=type_of(hint),
            required=not has_default and type(None) not in typing.get_args(hint),
            default=default,
            choices=_choices(hint),
        )

    def _check_default(self, port: PortSpec) -> None:
        problem = None if port.default is None else check_value(port, port.default)
        if problem is not None:
            raise self.wrong(f"the default of parameter {port.name!r} does not fit its type: {problem}")

    def _hint(self, name: str, hint: Any) -> Any:
        """The type hint with names resolved, one at a time, so that names used elsewhere need not exist."""
        if hint is inspect.Parameter.empty:
            return Any
        if not isinstance(hint, str):
            return hint
        holder = _Annotated()
        holder.__annotations__ = {name: hint}
        try:
            return typing.get_type_hints(holder, globalns=self._function.__globals__, include_extras=True)[name]
        except Exception as error:
            what = "the return value" if name == "return" else f"parameter {name!r}"
            raise self.wrong(f"the type hint {hint!r} of {what} cannot be resolved ({error})") from error


class _Annotated:
    """Carries one annotation to `typing.get_type_hints`."""

    __annotations__: dict[str, Any]


_MAP_LIKE: Final = frozenset({"map", "json", "any"})


def _choices(hint: Any) -> tuple[Any, ...] | None:
    """The values of a `Literal`, also of an optional one."""
    found = [one for one in (hint, *typing.get_args(hint)) if typing.get_origin(one) is typing.Literal]
    return tuple(typing.get_args(found[0])) if len(found) == 1 else None


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}"
