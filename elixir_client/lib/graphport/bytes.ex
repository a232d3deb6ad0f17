defmodule Graphport.Bytes do
  # Marks a binary as bytes, so that the encoder writes MessagePack `bin` (Python `bytes`) and not text.
  # Made by `Graphport.bytes/1`, read by the encoder only; what comes back from Python is a plain binary.
  @moduledoc false

  @enforce_keys [:data]
  defstruct [:data]

  @type t :: %__MODULE__{data: binary}
end
