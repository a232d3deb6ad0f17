"""The second door: functions that an Erlang or Elixir app calls through ErlPort.

`serve` gives the process to the Elixir library (`transport: :erlport`), which then speaks the whole protocol. The
others are for apps that call ErlPort themselves: payloads are MessagePack maps, since ErlPort's terms know no maps of
its oldest versions, and answers are tuples sent to the calling pid. One process is used in one of the two ways.

Importing this raises `ErlPortNotFound`, an `ImportError`, where ErlPort's Python code cannot be loaded. Every function
is called on ErlPort's main thread and waits for nothing but the first start of the engine. See `README.md`.
"""

from __future__ import annotations

from graphport.erlport.library import load_library

load_library()

from graphport.erlport.calls import cancel, close, demand_async, open, serve, start  # noqa: E402

__all__ = ["cancel", "close", "demand_async", "open", "serve", "start"]
