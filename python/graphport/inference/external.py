"""A gateway to a model server that runs already, at a URL: llama-server, or another that speaks OpenAI's chat endpoint.

Starts and stops nothing. Implements `contracts.inference.InferenceGateway`; made and closed by `app`; runs on the
event loop's thread.
"""

from __future__ import annotations

import contextlib
import urllib.parse
from typing import TYPE_CHECKING, Final

from graphport.contracts.inference import LoadParameters
from graphport.core.errors import DemandStopped, InferenceError
from graphport.http.client import HttpClient
from graphport.http.openai_chat import stream_chat

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from graphport.contracts.inference import ChatEvent, ChatRequest, InferenceGateway

URL_VARIABLE: Final = "GRAPHPORT_LLAMA_URL"
KEY_VARIABLE: Final = "GRAPHPORT_LLAMA_KEY"
_DEFAULT_PARAMETERS: Final = LoadParameters()


class ExternalGateway:
    """Asks one server. What it can do, and how its models are loaded, is its own affair."""

    name = "external"
    how_to_get: Final = f"start a model server and put its URL into {URL_VARIABLE}, its key into {KEY_VARIABLE}"

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        """Make a gateway; nothing is connected yet.

        Args:
            url: such as `http://127.0.0.1:8080`; a `/v1` at its end is understood.
            api_key: sent as bearer token.

        Raises:
            InferenceError: `backend_unavailable` if it is no such URL.
        """
        self._url = checked_url(url)
        self._client = HttpClient(self._url, api_key=api_key)
        self._closed = False

    async def chat(
        self, model_path: str, request: ChatRequest, parameters: LoadParameters = _DEFAULT_PARAMETERS
    ) -> AsyncGenerator[ChatEvent, None]:
        """Answer a conversation; see `contracts.inference.InferenceGateway`.

        Args:
            model_path: goes to the server as the name of the model; a server with a single model does not read it.
            request: the conversation.
            parameters: not used, for the server loaded its models before we came.
        """
        if self._closed:
            raise DemandStopped("The inference gateway is closed.", code="shutting_down")
        try:
            async with contextlib.aclosing(stream_chat(self._client, request, model=model_path)) as events:
                async for event in events:
                    yield event
        except InferenceError as error:
            if error.code == "backend_unavailable":
                raise InferenceError(
                    f"No model server answers at {self._url}. Start it, or change {URL_VARIABLE}.",
                    code="backend_unavailable",
                ) from error
            raise

    async def unload(self, model_path: str) -> int:
        """Nothing is ours to unload."""
        return 0

    async def close(self) -> None:
        """End open requests. Idempotent."""
        self._closed = True
        await self._client.close()


def checked_url(url: str) -> str:
    """The URL without a `/v1` at its end; never one that holds a password, because errors name it."""
    parts = urllib.parse.urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise InferenceError(
            f"{URL_VARIABLE} holds a user or a password, which logs would show; put the key into {KEY_VARIABLE}.",
            code="backend_unavailable",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InferenceError(
            f"{URL_VARIABLE} should be like http://127.0.0.1:8080, got {url!r}.", code="backend_unavailable"
        )
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{parts.netloc}{path}"


if TYPE_CHECKING:

    def _is_gateway(gateway: ExternalGateway) -> InferenceGateway:
        return gateway
