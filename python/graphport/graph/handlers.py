"""Turns a node function into a handler `handler(inputs, context)`, with nothing left to decide per call.

Each way to call a function has its own closure, because a handler runs once for every node of every demand.
Called by `authoring`, and by `compile` for what can be called with less ado.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import CO_VARARGS, CO_VARKEYWORDS
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Handler = Callable[[dict[str, Any], Any], Any]

# Attribute of a handler: the function and the output that `positional` gives.
_CALLS: Final = "calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling:
    """How a function is to be called.

    Attributes:
        raw: it takes the whole map of inputs, instead of each input by name.
        context: name of its parameter for the run context, if it has one.
        output: the one output that its result is the value of; None if the result is a map of outputs.
        empty: it has no outputs, whatever it returns.
        is_async: it is an `async def`.
    """

    raw: bool
    context: str | None
    output: str | None
    empty: bool
    is_async: bool


def make_handler(function: Callable[..., Any], calling: Calling) -> Handler:
    """The handler of a node function. It carries the function's name and module, for messages."""
    handler = _shape_result(_call(function, calling), function, calling)
    if handler is not function:
        handler.__module__ = function.__module__
        handler.__qualname__ = function.__qualname__
        handler.__name__ = function.__name__
        handler.__wrapped__ = function  # type: ignore[attr-defined]
    return handler


def _call(function: Callable[..., Any], calling: Calling) -> Handler:
    """The function, callable with inputs and context."""
    name = calling.context
    if calling.raw:
        if name is None:
            return lambda inputs, context: function(inputs)
        return lambda inputs, context: function(inputs=inputs, **{name: context})
    if name is None:
        return lambda inputs, context: function(**inputs)
    if name == "ctx":
        return lambda inputs, context: function(ctx=context, **inputs)
    return lambda inputs, context: function(**inputs, **{name: context})


def _shape_result(call: Handler, function: Callable[..., Any], calling: Calling) -> Handler:
    """The call, with its result made a map of outputs."""
    output = calling.output
    if calling.is_async:
        return _shape_async(call, output, calling.empty)
    if calling.empty:
        return lambda inputs, context: _nothing(call(inputs, context))
    if output is None:
        return call
    if not calling.raw and calling.context is None:
        # The most frequent kind of node: one closure fewer, and `positional` finds what it calls.
        handler: Handler = lambda inputs, context: {output: function(**inputs)}  # noqa: E731
        setattr(handler, _CALLS, (function, output))
        return handler
    return lambda inputs, context: {output: call(inputs, context)}


def positional(handler: Handler, names: Sequence[str]) -> tuple[Callable[..., Any], str] | None:
    """What a handler calls, if that is a function of just these arguments in this order, and the name of its output.

    Called so, a trivial node costs a fifth less: no map of inputs is made, and no map of arguments of that.
    """
    calls: tuple[Callable[..., Any], str] | None = getattr(handler, _CALLS, None)
    code = None if calls is None else getattr(calls[0], "__code__", None)
    if code is None or code.co_flags & (CO_VARARGS | CO_VARKEYWORDS) or code.co_kwonlyargcount:
        return None
    return calls if code.co_varnames[: code.co_argcount] == tuple(names) else None


def _shape_async(call: Handler, output: str | None, empty: bool) -> Handler:
    if empty:

        async def run_for_nothing(inputs: dict[str, Any], context: Any) -> dict[str, Any]:
            return _nothing(await call(inputs, context))

        return run_for_nothing
    if output is None:
        return call

    async def run_for_one(inputs: dict[str, Any], context: Any) -> dict[str, Any]:
        return {output: await call(inputs, context)}

    return run_for_one


def _nothing(_result: Any) -> dict[str, Any]:
    return {}
