defmodule Graphport.Wire.Limits do
  # Every limit of the wire and of its flow control, with its unit. `python/graphport/wire/PROTOCOL.md` is where
  # they are promised. Macros, so that they may stand in guards and patterns.
  @moduledoc false

  defmacro protocol, do: 1
  defmacro max_frame_bytes, do: 1_048_576

  # One packed message at most; what is longer than a part travels in parts, of which so many transfers may be under way.
  defmacro max_value_bytes, do: 268_435_456
  defmacro max_part_bytes, do: 262_144
  defmacro max_transfers, do: 1_024
  # Levels of lists and maps: what a sender makes, and what a reader takes.
  defmacro max_depth_written, do: 1_000
  defmacro max_depth_read, do: 10_000
  # Tuples and sets within one another, as written.
  defmacro max_nested_exts, do: 8
  defmacro max_big_int_bytes, do: 4_096

  # Unread by the engine at most; the reserve is for cancel, grant, close, ping and credit alone.
  defmacro window_frames, do: 512
  defmacro window_bytes, do: 2 * 1024 * 1024
  defmacro reserve_frames, do: 64
  defmacro reserve_bytes, do: 64 * 1024

  # Calls of the engine are numbered from here. Chunks of one that are on their way; and what a message about one may
  # take from the reserve.
  defmacro first_call, do: 0x4000000000000000
  defmacro host_window_chunks, do: 32
  defmacro host_reserve_bytes, do: 16 * 1024

  # Unread by the BEAM at most: four that the protocol allows, and what an engine may overshoot. More is a fault.
  defmacro max_unread_bytes, do: 8 * 1024 * 1024
  # The owner tells the engine what it has read at the latest after this many bytes.
  defmacro credit_every_bytes, do: 256 * 1024
  # The port itself must never be busy: whoever writes to a busy port is suspended. {low, high} bytes.
  defmacro port_busy_bytes, do: {4 * 1024 * 1024, 8 * 1024 * 1024}
end
