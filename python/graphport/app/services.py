"""The services of one engine by name: made when a node first asks for one, closed at the engine's end.

`inference`, the model gateway, is one of them; the others are those of the user's modules. Nodes on threads ask too.
Called by `engine`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import GraphportError, InferenceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INFERENCE: Final = "inference"
_CLOSE_S: Final = 5.0

_log = logging.getLogger("graphport.services")


class Services(dict[str, Any]):
    """What `ctx.service(name)` looks in: `services[name]` makes a service that is not there yet.

    Args:
        inference: makes the model gateway, which its own maker closes.
        factories: name to what makes the service.
    """

    def __init__(self, inference: Callable[[], Any], factories: Mapping[str, Callable[[], Any]]) -> None:
        super().__init__()
        self._factories = {INFERENCE: inference, **factories}
        self._making = threading.RLock()

    def __missing__(self, name: str) -> Any:
        make = self._factories.get(name)
        if make is None:
            raise KeyError(name)
        with self._making:
            if name in self:  # another thread was first
                return self[name]
            try:
                made = make()
            except GraphportError:
                raise
            except Exception as error:  # the user's code; the next node that asks tries again
                raise InferenceError(
                    f"the service {name!r} could not be made: {type(error).__name__}: {error}",
                    code="backend_unavailable",
                    exception_name=type(error).__name__,
                ) from error
            self[name] = made
            return made

    def __iter__(self) -> Any:
        """The names of all there are, made or not."""
        return iter(self._factories)

    async def close(self) -> None:
        """Close what was made, the last one first. What fails is logged, and holds nothing up."""
        for name, made in reversed(list(self.items())):
            if name == INFERENCE:
                continue
            try:
                close = getattr(made, "aclose", None) or getattr(made, "close", None)
                closing = close() if callable(close) else None
                if inspect.isawaitable(closing):
                    await asyncio.wait_for(closing, _CLOSE_S)
            except Exception:  # the user's code
                _log.exception("the service %r could not be closed", name)
        self.clear()
