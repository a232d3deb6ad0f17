"""A real HTTP server that says exactly the bytes it is told to, for tests of the client."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of the chunked transfer coding."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(json_text: str) -> bytes:
    """One server-sent event, as one chunk."""
    return chunk(f"data: {json_text}\n\n".encode())


class ScriptedServer:
    """Answers each request with the same pieces, each written and flushed by itself.

    Attributes:
        requests: head and body of each request.
        asked: set when there was a request.
        hung_up: set when a client closes before the script is over.
        hold: if set, the connection stays open and silent after the last piece until the client closes.
    """

    def __init__(self, pieces: Sequence[bytes], *, hold: bool = False) -> None:
        self.pieces = pieces
        self.hold = hold
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.hung_up = asyncio.Event()

    @contextlib.asynccontextmanager
    async def listen(self, folder: Path) -> AsyncIterator[str]:
        """Serve on a UNIX socket; gives its path."""
        path = str(folder / "s")
        server = await asyncio.start_unix_server(self._serve, path)
        try:
            yield path
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.requests.append(head + await reader.readexactly(length))
            self.asked.set()
            for piece in self.pieces:
                writer.write(piece)
                await writer.drain()
            if self.hold:
                await reader.read()
                self.hung_up.set()
        except ConnectionError:
            self.hung_up.set()
        finally:
            writer.close()
