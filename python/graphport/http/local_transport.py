"""An httpx transport for servers on this machine: plain HTTP/1.1, one connection for each request.

Exists because httpx's own transport costs 0.15 ms for each piece of a stream, half of what a token may cost
in all, and because a worker's death must end its requests at once, even when the socket stays open.
Must not be used over a network: it has no TLS, no redirects, no pool. Imports httpx; `client` imports it
late.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import httpx

from graphport.http.chunked import ChunkedDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_READ_BYTES: Final = 64 * 1024
_MAX_HEAD_BYTES: Final = 64 * 1024


class LocalTransport(httpx.AsyncBaseTransport):
    """Connects to a UNIX socket, or to host and port of the request's URL."""

    def __init__(self, socket_path: str | None, *, idle_seconds: float) -> None:
        """Make a transport.

        Args:
            socket_path: UNIX socket of the server; None takes host and port of the URL.
            idle_seconds: longest time without a byte before `httpx.ReadTimeout`.
        """
        self._socket_path = socket_path
        self._idle_seconds = idle_seconds
        self._open: set[_Connection] = set()

    def abort(self, make_error: Callable[[], Exception]) -> None:
        """Let every open request fail at once, each with an error of its own."""
        for connection in list(self._open):
            connection.reader.set_exception(make_error())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and read the head of the answer; called by httpx."""
        body = await request.aread()
        connection = await self._connect(request)
        try:
            connection.writer.write(_head(request, body) + body)
            status, headers = await connection.read_head()
            return httpx.Response(status, headers=headers, stream=_Body(connection, headers))
        except BaseException:
            connection.close()
            raise

    async def aclose(self) -> None:
        """Close what is still open; called by httpx."""
        for connection in list(self._open):
            connection.close()

    async def _connect(self, request: httpx.Request) -> _Connection:
        try:
            if self._socket_path is not None:
                opening = asyncio.open_unix_connection(self._socket_path, limit=_MAX_HEAD_BYTES)
            else:
                host, port = request.url.host, request.url.port or 80
                opening = asyncio.open_connection(host, port, limit=_MAX_HEAD_BYTES)
            async with asyncio.timeout(self._idle_seconds):
                reader, writer = await opening
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time", request=request) from error
        except OSError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        return _Connection(self._open, reader, writer, self._idle_seconds)


class _Connection:
    """One socket, registered as long as it is open."""

    def __init__(
        self,
        registry: set[_Connection],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        idle_seconds: float,
    ) -> None:
        self.reader = reader
        self.writer = writer
        self._idle_seconds = idle_seconds
        self._registry = registry
        registry.add(self)

    async def read_head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        try:
            async with asyncio.timeout(self._idle_seconds):
                head = await self.reader.readuntil(b"\r\n\r\n")
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer in time") from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise httpx.RemoteProtocolError("closed before it answered") from error
        except asyncio.LimitOverrunError as error:
            raise httpx.RemoteProtocolError("the head of the answer is too long") from error
        status_line, *lines = head[:-4].split(b"\r\n")
        try:
            version, status, *_ = status_line.split(b" ", 2)
            if not version.startswith(b"HTTP/1."):
                raise ValueError
            headers = [_header(line) for line in lines]
            return int(status), headers
        except ValueError as error:
            raise httpx.RemoteProtocolError("the answer is not HTTP/1.1") from error

    async def read(self) -> bytes:
        try:
            async with asyncio.timeout(self._idle_seconds):
                return await self.reader.read(_READ_BYTES)
        except TimeoutError as error:
            raise httpx.ReadTimeout("no byte came in time") from error
        except ConnectionError as error:
            raise httpx.ReadError(str(error)) from error

    def close(self) -> None:
        self._registry.discard(self)
        # Abort and not close: nothing of the request is worth waiting for, and the slot is freed at once.
        self.writer.transport.abort()


class _Body(httpx.AsyncByteStream):
    def __init__(self, connection: _Connection, headers: list[tuple[bytes, bytes]]) -> None:
        self._connection = connection
        named = {name.lower(): value for name, value in headers}
        self._chunked = named.get(b"transfer-encoding", b"").lower() == b"chunked"
        self._length = int(named[b"content-length"]) if b"content-length" in named else None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._read_chunked() if self._chunked else self._read_plain()

    async def _read_chunked(self) -> AsyncIterator[bytes]:
        decoder = ChunkedDecoder()
        while not decoder.done:
            if not (data := await self._connection.read()):
                raise httpx.RemoteProtocolError("closed in the middle of its answer")
            try:
                content = decoder.feed(data)
            except ValueError as error:
                raise httpx.RemoteProtocolError(str(error)) from error
            if content:
                yield content

    async def _read_plain(self) -> AsyncIterator[bytes]:
        """Read a counted body, or one that ends with the connection."""
        left = self._length
        while left is None or left > 0:
            data = await self._connection.read()
            if not data:
                if left is None:
                    return
                raise httpx.RemoteProtocolError("closed in the middle of its answer")
            if left is not None:
                data = data[:left]
                left -= len(data)
            yield data

    async def aclose(self) -> None:
        self._connection.close()


def _head(request: httpx.Request, body: bytes) -> bytes:
    lines = [request.method.encode() + b" " + request.url.raw_path + b" HTTP/1.1"]
    skipped = (b"connection", b"content-length", b"transfer-encoding", b"accept-encoding")
    lines += [name + b": " + value for name, value in request.headers.raw if name.lower() not in skipped]
    lines += [b"Connection: close", b"Content-Length: " + str(len(body)).encode(), b"", b""]
    return b"\r\n".join(lines)


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon:
        raise ValueError
    return name, value.strip()
