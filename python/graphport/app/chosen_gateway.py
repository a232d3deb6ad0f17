"""The gateway that nodes get: over the backend that is chosen when a model is first asked for.

Imports nothing heavy itself: what a gateway needs is imported in a thread, so that the event loop goes on meanwhile.
Made by `engine`.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from graphport.contracts.inference import LoadParameters

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from graphport.app.backends import Backends
    from graphport.contracts.inference import ChatEvent, ChatRequest, InferenceGateway, ModelLibrary
    from graphport.inference.external import ExternalGateway
    from graphport.inference.gateway import LocalGateway

    Parts = tuple[Backends, ModelLibrary]

_DEFAULT_PARAMETERS: Final = LoadParameters()


def _parts() -> Parts:
    import httpx  # noqa: F401 - the gateway's client will want it, and by then it must be there

    from graphport.app.backends import Backends
    from graphport.app.models import ModelFolder

    return Backends(), ModelFolder()


class ChosenGateway:
    """A gateway that looks for a backend when it is first asked, in a thread; `contracts.inference.InferenceGateway`.

    Where there is none, each request says so, until one is installed.
    """

    def __init__(self, wanted: str | None = None, *, parts: Callable[[], Parts] | None = None) -> None:
        """Make a gateway; nothing is looked for yet. `close` must be called at the end.

        Args:
            wanted: the backend's name; None lets `Backends.chosen` choose.
            parts: gives what there may be and what finds models that are given by name, in a thread; None is this
                machine's.
        """
        self._wanted = wanted
        self._parts = parts or _parts
        self._gateway: LocalGateway | ExternalGateway | None = None

    async def chat(
        self, model_path: str, request: ChatRequest, parameters: LoadParameters = _DEFAULT_PARAMETERS
    ) -> AsyncGenerator[ChatEvent, None]:
        """Answer a conversation; see `contracts.inference.InferenceGateway`."""
        gateway = await self.ready()
        async with contextlib.aclosing(gateway.chat(model_path, request, parameters)) as events:
            async for event in events:
                yield event

    async def unload(self, model_path: str) -> int:
        """Stop a model's workers when they are idle; see `contracts.inference.InferenceGateway`."""
        return 0 if self._gateway is None else await self._gateway.unload(model_path)

    async def close(self) -> None:
        """Stop everything. Idempotent."""
        if self._gateway is not None:
            await self._gateway.close()

    async def ready(self) -> LocalGateway | ExternalGateway:
        """The gateway behind this one.

        Raises:
            InferenceError: `backend_unavailable`, see `Backends.chosen`.
        """
        if self._gateway is None:
            name, (backends, library) = await asyncio.to_thread(self._choose)
            if self._gateway is None:  # another request may have been faster
                self._gateway = backends.gateway(name, library)
        return self._gateway

    def _choose(self) -> tuple[str, Parts]:
        backends, library = self._parts()
        return backends.chosen(self._wanted), (backends, library)


if TYPE_CHECKING:

    def _is_gateway(gateway: ChosenGateway) -> InferenceGateway:
        return gateway
