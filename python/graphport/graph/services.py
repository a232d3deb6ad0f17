"""The decorator `service`, which makes a function of the user's the factory of a service that nodes get by name.

Looked at once, when the module is imported; must not call the function. Used by users' modules; `app.services` calls
the factories.

    @service("database")
    def database() -> Connection:
        return connect("app.db")

    @node(services=["database"])
    def count(table: str, ctx: ThreadRunContext) -> int:
        return ctx.service("database").count(table)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from types import ModuleType

_Function = TypeVar("_Function", bound=Callable[[], Any])

ATTRIBUTE: Final = "__graphport_service__"


def service(name: str) -> Callable[[_Function], _Function]:
    """Declare a function to make the service of that name.

    It is called without arguments when a node first asks for the service, once in the life of an engine, on the thread
    of that node: an `async` or `inline` node waits on the event loop, so what takes long is better done at first use.
    At the engine's end the service's `aclose()` or `close()`, if it has one, is called on the event loop's thread, and
    awaited if it is a coroutine, for 5 s at most. Nodes on threads use one object at the same time.

    Raises:
        TypeError: the name is empty, or the function is async, yields, or takes arguments.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"@service takes the name of the service, got {name!r}.")

    def declare(function: _Function) -> _Function:
        where = f"The factory of the service {name!r}, {getattr(function, '__qualname__', function)!r},"
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{where} is async; return an object that connects when it is first used.")
        if inspect.isgeneratorfunction(function):
            raise TypeError(f"{where} yields; return an object with a close() or aclose().")
        required = [
            each
            for each in inspect.signature(function).parameters.values()
            if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        ]
        if required:
            raise TypeError(f"{where} takes the argument {required[0].name!r}; it is called without any.")
        setattr(function, ATTRIBUTE, name)
        return function

    return declare


def services_of(module: ModuleType) -> dict[str, Callable[[], Any]]:
    """Name to factory of the services that a module declares or has imported."""
    found = {}
    for value in list(vars(module).values()):
        name = getattr(value, ATTRIBUTE, None) if inspect.isfunction(value) or inspect.isclass(value) else None
        if isinstance(name, str):
            found[name] = value
    return found
