defmodule Graphport.Wire.Utf8 do
  # Says whether a binary is UTF-8. Steps over ASCII seven bytes at a time, which `String.valid?/1` of
  # Elixir 1.14 does not; text on the wire is mostly ASCII. Called for every str, both ways.
  @moduledoc false

  import Bitwise, only: [&&&: 2]

  @ascii 0x80808080808080

  @spec valid?(binary) :: boolean
  def valid?(<<word::56, rest::bits>>) when (word &&& @ascii) == 0, do: valid?(rest)
  def valid?(<<byte, rest::bits>>) when byte < 0x80, do: valid?(rest)
  def valid?(<<_::utf8, rest::bits>>), do: valid?(rest)
  def valid?(<<>>), do: true
  def valid?(_rest), do: false
end
