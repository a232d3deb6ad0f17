"""The one async HTTP client: plain requests and streamed answers, with errors of our own tree.

The only file, with `local_transport`, that knows httpx, which is imported at first use and off the loop.
Never takes proxies or credentials from the environment. Used by `inference`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
from typing import TYPE_CHECKING, Any, Final

from graphport.core.errors import InferenceError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping

    import httpx

    from graphport.http.local_transport import LocalTransport

IDLE_SECONDS: Final = 120.0
MAX_ERROR_BODY_BYTES: Final = 64 * 1024
_LOCAL_PREFIXES: Final = ("http://localhost", "http://127.0.0.1", "http://[::1]")


class ConnectionLost(InferenceError):
    """The server does not listen, or closed a connection before its answer was complete."""


async def load_httpx() -> None:
    """Import httpx in a thread: it takes a tenth of a second, which the loop must not."""
    await asyncio.to_thread(importlib.import_module, "httpx")


class StreamedAnswer:
    """An answer whose body is still coming."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives; each piece as large as the socket gave it.

        Raises:
            InferenceError: `backend_timeout` or `backend_failed`.
        """
        with _typed_errors():
            async for chunk in self._response.aiter_raw():
                yield chunk

    async def start_of_body(self) -> bytes:
        """The body up to `MAX_ERROR_BODY_BYTES`, for answers that are errors."""
        body = b""
        async with contextlib.aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) >= MAX_ERROR_BODY_BYTES:
                    break
        return body[:MAX_ERROR_BODY_BYTES]


class HttpClient:
    """Talks to one server."""

    def __init__(
        self,
        base_url: str,
        *,
        socket_path: str | None = None,
        api_key: str | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """Make a client; nothing is imported or connected yet.

        Args:
            base_url: scheme, host and port; with a socket path only the `Host` header is made of it.
            socket_path: UNIX socket to connect to.
            api_key: sent as bearer token with each request.
            idle_seconds: longest silence of the server before `backend_timeout`.
        """
        self.base_url = base_url
        self._socket_path = socket_path
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._idle_seconds = idle_seconds
        self._client: httpx.AsyncClient | None = None
        self._transport: LocalTransport | None = None
        self._making = asyncio.Lock()
        self._make_fatal: Callable[[], Exception] | None = None

    async def get(self, path: str) -> tuple[int, bytes]:
        """Ask for a small resource; status and body."""
        client = await self._ready_client()
        with _typed_errors():
            response = await client.get(path)
            return response.status_code, response.content

    @contextlib.asynccontextmanager
    async def post_streamed(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[StreamedAnswer, None]:
        """Send JSON and give the answer while it comes. Leaving the block closes the connection at once.

        Raises:
            InferenceError: `backend_unavailable` if nobody listens, `backend_timeout`, `backend_failed`.
        """
        client = await self._ready_client()
        request = client.build_request(
            "POST", path, content=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        with _typed_errors():
            response = await client.send(request, stream=True)
        try:
            yield StreamedAnswer(response)
        finally:
            await response.aclose()

    def abort(self, make_error: Callable[[], Exception]) -> None:
        """Let all open and all future requests fail, each with an error of its own.

        For servers of this machine only.
        """
        self._make_fatal = make_error
        if self._transport is not None:
            self._transport.abort(make_error)

    async def close(self) -> None:
        """Close everything. Idempotent."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ready_client(self) -> httpx.AsyncClient:
        if self._make_fatal is not None:
            raise self._make_fatal()
        async with self._making:
            if self._client is None:
                # In a thread, because importing httpx and making a TLS context take a tenth of a second.
                self._client = await asyncio.to_thread(self._make_client)
            return self._client

    def _make_client(self) -> httpx.AsyncClient:
        import httpx

        transport: httpx.AsyncBaseTransport
        if self._socket_path is not None or self.base_url.startswith(_LOCAL_PREFIXES):
            from graphport.http.local_transport import LocalTransport

            self._transport = LocalTransport(self._socket_path, idle_seconds=self._idle_seconds)
            transport = self._transport
        else:
            transport = httpx.AsyncHTTPTransport(trust_env=False)
        return httpx.AsyncClient(
            transport=transport,
            base_url=self.base_url,
            headers=self._headers,
            timeout=self._idle_seconds,
            trust_env=False,
        )


@contextlib.contextmanager
def _typed_errors() -> Iterator[None]:
    import httpx

    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        message = f"The model server cannot be reached: {error}."
        raise ConnectionLost(message, code="backend_unavailable") from error
    except httpx.TimeoutException as error:
        raise InferenceError("The model server gave no sign of life in time.", code="backend_timeout") from error
    except httpx.HTTPError as error:
        raise ConnectionLost(f"The model server broke off: {error}.") from error
