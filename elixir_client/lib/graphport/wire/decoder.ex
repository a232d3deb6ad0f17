defmodule Graphport.Wire.Decoder do
  # MessagePack to terms, as PROTOCOL.md §2 has it. Pure; makes no atom but the fixed ones below; never raises.
  #
  # One function with a clause per first byte, all calls in tail position and the open containers on an explicit
  # stack, so that the match context of the frame lives from the first byte to the last and no depth of nesting
  # grows the process stack. Called by `Messages`, in the engine owner, once for each frame.
  @moduledoc false

  import Graphport.Wire.Limits

  alias Graphport.Error
  alias Graphport.Wire.{Extension, Utf8}

  @compile {:inline, put_text: 7, put_bytes: 7, text: 2, open: 8}
  @compile :inline_list_funcs

  # Texts shorter than the first are copied out of a frame longer than the second: a token that somebody keeps must
  # not keep a batch of 64 KiB alive. From short frames they are not: a copy costs as much as reading the text.
  @copied_below_bytes 64
  @shared_up_to_bytes 512

  # Texts that nearly every frame holds: recognised whole, neither checked nor made anew.
  @frequent ~w(demand_complete demand_error node_stream credit pong text output value stream
               revision us ran cached skipped code message node_id)

  @doc "The one value that `frame` holds."
  @spec decode(binary) :: {:ok, term} | {:error, Error.t()}
  def decode(frame) when is_binary(frame), do: go(frame, [], 1, [], 0, copies?(frame))

  @doc """
  The first value of `rest`, which has `depth` levels of lists around it, and what follows it. `copies` is `copies?/1` of
  the frame.
  """
  @spec value(bitstring, non_neg_integer, boolean) :: {:ok, term, bitstring} | {:error, Error.t()}
  def value(rest, depth, copies), do: go(rest, [], 1, :stop, depth, copies)

  @doc "Whether short texts are copied out of this frame."
  @spec copies?(binary) :: boolean
  def copies?(frame), do: byte_size(frame) > @shared_up_to_bytes

  @doc "A text or bytes out of a frame, copied if it is short and `copies?/1` says so."
  @spec text(binary, boolean) :: binary
  def text(binary, true) when byte_size(binary) < @copied_below_bytes, do: :binary.copy(binary)
  def text(binary, _copies), do: binary

  # go(rest, acc, left, up, d, c): `acc` holds the values read of the innermost open container, in reverse; `left` says
  # how many are still to come; `up` is the stack [kind, acc, left | up] of the containers around it, `d` deep; `c`
  # says whether short texts are copied.
  defp go(<<rest::bits>>, acc, 0, [kind, outer_acc, left | up], d, c) do
    case close(kind, acc) do
      {:error, text} -> bad(text)
      {:ok, value} -> go(rest, [value | outer_acc], left, up, d - 1, c)
    end
  end

  defp go(<<>>, [value], 0, [], _d, _c), do: {:ok, value}
  defp go(<<rest::bits>>, [value], 0, :stop, _d, _c), do: {:ok, value, rest}
  defp go(<<_, _::bits>>, [_value], 0, [], _d, _c), do: bad("bytes after the value")

  for byte <- 0x00..0x7F do
    defp go(<<unquote(byte), rest::bits>>, acc, left, up, d, c),
      do: go(rest, [unquote(byte) | acc], left - 1, up, d, c)
  end

  for size <- 0..15 do
    defp go(<<unquote(0x80 + size), rest::bits>>, acc, left, up, d, c),
      do: open(rest, :map, unquote(size * 2), acc, left, up, d, c)

    defp go(<<unquote(0x90 + size), rest::bits>>, acc, left, up, d, c),
      do: open(rest, :list, unquote(size), acc, left, up, d, c)
  end

  for text <- @frequent do
    defp go(<<unquote(0xA0 + byte_size(text)), unquote(text), rest::bits>>, acc, left, up, d, c),
      do: go(rest, [unquote(text) | acc], left - 1, up, d, c)
  end

  for size <- 0..31 do
    defp go(<<unquote(0xA0 + size), text::binary-size(unquote(size)), rest::bits>>, acc, left, up, d, c),
      do: put_text(text, rest, acc, left, up, d, c)
  end

  defp go(<<0xC0, rest::bits>>, acc, left, up, d, c),
    do: go(rest, [nil | acc], left - 1, up, d, c)

  defp go(<<0xC2, rest::bits>>, acc, left, up, d, c),
    do: go(rest, [false | acc], left - 1, up, d, c)

  defp go(<<0xC3, rest::bits>>, acc, left, up, d, c),
    do: go(rest, [true | acc], left - 1, up, d, c)

  for {byte, bits} <- [{0xC4, 8}, {0xC5, 16}, {0xC6, 32}] do
    defp go(<<unquote(byte), n::unquote(bits), data::binary-size(n), rest::bits>>, acc, left, up, d, c),
      do: put_bytes(data, rest, acc, left, up, d, c)
  end

  for {byte, bits} <- [{0xC7, 8}, {0xC8, 16}, {0xC9, 32}] do
    defp go(
           <<unquote(byte), n::unquote(bits), t::signed, data::binary-size(n), rest::bits>>,
           acc,
           left,
           up,
           d,
           c
         ),
         do: extension(t, data, rest, acc, left, up, d, c)
  end

  defp go(<<0xCA, value::float-32, rest::bits>>, acc, left, up, d, c),
    do: go(rest, [value | acc], left - 1, up, d, c)

  defp go(<<0xCA, sign::1, 0xFF, fraction::23, rest::bits>>, acc, left, up, d, c),
    do: go(rest, [not_finite(sign, fraction) | acc], left - 1, up, d, c)

  defp go(<<0xCB, value::float-64, rest::bits>>, acc, left, up, d, c),
    do: go(rest, [value | acc], left - 1, up, d, c)

  defp go(<<0xCB, sign::1, 0x7FF::11, fraction::52, rest::bits>>, acc, left, up, d, c),
    do: go(rest, [not_finite(sign, fraction) | acc], left - 1, up, d, c)

  for {byte, bits} <- [{0xCC, 8}, {0xCD, 16}, {0xCE, 32}, {0xCF, 64}] do
    defp go(<<unquote(byte), value::unquote(bits), rest::bits>>, acc, left, up, d, c),
      do: go(rest, [value | acc], left - 1, up, d, c)
  end

  for {byte, bits} <- [{0xD0, 8}, {0xD1, 16}, {0xD2, 32}, {0xD3, 64}] do
    defp go(<<unquote(byte), value::signed-unquote(bits), rest::bits>>, acc, left, up, d, c),
      do: go(rest, [value | acc], left - 1, up, d, c)
  end

  for {byte, n} <- [{0xD4, 1}, {0xD5, 2}, {0xD6, 4}, {0xD7, 8}, {0xD8, 16}] do
    defp go(<<unquote(byte), t::signed, data::binary-size(unquote(n)), rest::bits>>, acc, left, up, d, c),
      do: extension(t, data, rest, acc, left, up, d, c)
  end

  for {byte, bits} <- [{0xD9, 8}, {0xDA, 16}, {0xDB, 32}] do
    defp go(<<unquote(byte), n::unquote(bits), text::binary-size(n), rest::bits>>, acc, left, up, d, c),
      do: put_text(text, rest, acc, left, up, d, c)
  end

  for {byte, bits} <- [{0xDC, 16}, {0xDD, 32}] do
    defp go(<<unquote(byte), n::unquote(bits), rest::bits>>, acc, left, up, d, c),
      do: open(rest, :list, n, acc, left, up, d, c)
  end

  for {byte, bits} <- [{0xDE, 16}, {0xDF, 32}] do
    defp go(<<unquote(byte), n::unquote(bits), rest::bits>>, acc, left, up, d, c),
      do: open(rest, :map, n * 2, acc, left, up, d, c)
  end

  for byte <- 0xE0..0xFF do
    defp go(<<unquote(byte), rest::bits>>, acc, left, up, d, c),
      do: go(rest, [unquote(byte - 0x100) | acc], left - 1, up, d, c)
  end

  defp go(<<0xC1, _::bits>>, _acc, _left, _up, _d, _c), do: bad("the byte 0xc1 is never used")
  defp go(_rest, _acc, _left, _up, _d, _c), do: bad("the value is cut short")

  # A count of elements that cannot fit into the rest of the frame fails later, as cut short: nothing is reserved.
  defp open(_rest, _kind, _items, _acc, _left, _up, d, _c) when d >= max_depth_read(),
    do: bad("lists and maps nested deeper than #{max_depth_read()}")

  defp open(rest, kind, items, acc, left, up, d, c),
    do: go(rest, [], items, [kind, acc, left - 1 | up], d + 1, c)

  defp put_text(text, rest, acc, left, up, d, c) do
    if Utf8.valid?(text),
      do: go(rest, [text(text, c) | acc], left - 1, up, d, c),
      else: bad("a text is not UTF-8")
  end

  defp put_bytes(data, rest, acc, left, up, d, c),
    do: go(rest, [text(data, c) | acc], left - 1, up, d, c)

  defp extension(type, data, rest, acc, left, up, d, c) do
    case read_extension(type, data, d, c) do
      {:ok, value} -> go(rest, [value | acc], left - 1, up, d, c)
      {:error, %Error{}} = failed -> failed
      {:error, text} -> bad(text)
    end
  end

  # Tuples and sets hold values, so their payload comes back here: a level of its own, or they could nest without end.
  defp read_extension(_type, _payload, d, _c) when d >= max_depth_read(),
    do: {:error, "values nested deeper than #{max_depth_read()}"}

  defp read_extension(type, payload, d, c) when type in [2, 3] do
    case go(payload, [], 1, [], d + 1, c) do
      {:ok, items} when is_list(items) -> Extension.collect(type, items)
      {:ok, _other} -> {:error, "the payload of a tuple or set is not a list"}
      {:error, _error} = failed -> failed
    end
  end

  defp read_extension(type, payload, _d, _c), do: Extension.read(type, payload)

  defp close(:list, acc), do: {:ok, :lists.reverse(acc)}
  defp close(:map, acc), do: pairs(acc, [])

  # acc is value, key, value, key …; the list comes out in the order of the frame, so that the last of two equal
  # keys wins.
  defp pairs([value, key | acc], out) when is_binary(key) or is_atom(key) or is_float(key),
    do: pairs(acc, [{key, value} | out])

  defp pairs([value, key | acc], out)
       when is_integer(key) and key >= -0x8000000000000000 and key <= 0xFFFFFFFFFFFFFFFF,
       do: pairs(acc, [{key, value} | out])

  defp pairs([], out), do: {:ok, :maps.from_list(out)}
  defp pairs(_acc, _out), do: {:error, "a map key is a list, a map or an extension type"}

  defp not_finite(0, 0), do: :infinity
  defp not_finite(1, 0), do: :neg_infinity
  defp not_finite(_sign, _fraction), do: :nan

  defp bad(text), do: {:error, %Error{code: :bad_frame, message: "not readable as MessagePack: " <> text}}
end
