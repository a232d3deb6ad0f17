defmodule Graphport.Wire.Frequent do
  # Reads frames of the messages that make up nearly all traffic, straight from their bytes: answers and text chunks, alone
  # or in a batch, with whatever else stands between them. Pure. Must agree with the general way of `Messages` in every
  # value, and judges nothing: whatever is not as expected, a fault above all, makes it `:general`, and the whole frame is
  # read the general way. Called by `Messages.parse_frame/1`.
  @moduledoc false

  alias Graphport.Wire.{Decoder, Utf8}

  @frequent_ports ~w(text value output)
  @max_id 0x7FFFFFFFFFFFFFFF

  # As in `Messages`: what is read as a struct is no map on the wire.
  defguardp is_plain_map(term) when is_map(term) and not is_map_key(term, :__struct__)

  @doc """
  The messages of a frame, last first: as `Messages` has them, or `{:value, value}` for one that is to be checked there.
  """
  @spec messages(binary) :: {:ok, [tuple]} | :general
  def messages(<<0x95, 0xAF, "demand_complete", rest::bits>> = frame),
    do: id(rest, :complete, 0, [], 1, Decoder.copies?(frame))

  def messages(<<0x95, 0xAB, "node_stream", rest::bits>> = frame),
    do: id(rest, :stream, 0, [], 1, Decoder.copies?(frame))

  # A batch: the first of its elements is a list.
  def messages(<<9::4, count::4, 9::4, _::bits>> = frame) do
    <<_, rest::bits>> = frame
    batch(rest, count, [], 2, Decoder.copies?(frame))
  end

  def messages(<<0xDC, count::16, 9::4, _::bits>> = frame) when count > 0 do
    <<_::24, rest::bits>> = frame
    batch(rest, count, [], 2, Decoder.copies?(frame))
  end

  def messages(_frame), do: :general

  # batch(rest, left, out, d, c): `left` messages are still to come, `out` holds those read, in reverse; `d` and `c` are
  # the decoder's: levels of lists around a field, and whether short texts are copied.
  defp batch(<<0x95, 0xAF, "demand_complete", rest::bits>>, left, out, d, c) when left > 0,
    do: id(rest, :complete, left - 1, out, d, c)

  defp batch(<<0x95, 0xAB, "node_stream", rest::bits>>, left, out, d, c) when left > 0,
    do: id(rest, :stream, left - 1, out, d, c)

  defp batch(<<>>, 0, out, _d, _c), do: {:ok, out}

  defp batch(rest, left, out, d, c) when left > 0 do
    case Decoder.value(rest, d - 1, c) do
      {:ok, value, rest} -> batch(rest, left - 1, [{:value, value} | out], d, c)
      {:error, _error} -> :general
    end
  end

  defp batch(_rest, _left, _out, _d, _c), do: :general

  defp id(<<id, rest::bits>>, kind, left, out, d, c) when id < 0x80, do: node(rest, kind, id, left, out, d, c)

  for {byte, bits} <- [{0xCC, 8}, {0xCD, 16}, {0xCE, 32}, {0xCF, 64}] do
    defp id(<<unquote(byte), id::unquote(bits), rest::bits>>, kind, left, out, d, c) when id <= @max_id,
      do: node(rest, kind, id, left, out, d, c)
  end

  defp id(_rest, _kind, _left, _out, _d, _c), do: :general

  # The owner knows what was demanded: the node of an answer is checked and never kept.
  defp node(<<size, node::binary-size(size - 0xA0), rest::bits>>, :complete, id, left, out, d, c)
       when size < 0xC0 do
    if Utf8.valid?(node), do: outputs(rest, id, node, left, out, d, c), else: :general
  end

  defp node(<<size, node::binary-size(size - 0xA0), rest::bits>>, :stream, id, left, out, d, c)
       when size < 0xC0 do
    if Utf8.valid?(node), do: port(rest, id, Decoder.text(node, c), left, out, d, c), else: :general
  end

  defp node(_rest, _kind, _id, _left, _out, _d, _c), do: :general

  # One short text: what most nodes answer. Ports of these names are neither checked nor made anew.
  for name <- @frequent_ports do
    defp outputs(
           <<0x81, unquote(0xA0 + byte_size(name)), unquote(name), size, text::binary-size(size - 0xA0),
             rest::bits>>,
           id,
           node,
           left,
           out,
           d,
           c
         )
         when size < 0xC0 do
      if Utf8.valid?(text),
        do: revision(rest, id, node, %{unquote(name) => Decoder.text(text, c)}, left, out, d, c),
        else: :general
    end
  end

  defp outputs(rest, id, node, left, out, d, c) do
    case Decoder.value(rest, d, c) do
      {:ok, outputs, rest} when is_plain_map(outputs) -> revision(rest, id, node, outputs, left, out, d, c)
      _other -> :general
    end
  end

  # `meta`, as the engine writes it. It is checked; all that is wanted is how the answer came about.
  defp revision(<<0x85, 0xA8, "revision", rest::bits>>, id, node, outputs, left, out, d, c),
    do: integer(rest, :us, id, node, outputs, left, out, d, c)

  defp revision(rest, id, node, outputs, left, out, d, c) do
    case Decoder.value(rest, d, c) do
      {:ok, meta, rest} when is_plain_map(meta) ->
        complete(rest, id, node, outputs, status(meta), left, out, d, c)

      _other ->
        :general
    end
  end

  defp integer(<<value, rest::bits>>, next, id, node, outputs, left, out, d, c) when value < 0x80,
    do: field(rest, next, id, node, outputs, left, out, d, c)

  for {byte, bits} <- [{0xCC, 8}, {0xCD, 16}, {0xCE, 32}, {0xCF, 64}] do
    defp integer(<<unquote(byte), _::unquote(bits), rest::bits>>, next, id, node, outputs, left, out, d, c),
      do: field(rest, next, id, node, outputs, left, out, d, c)
  end

  defp integer(_rest, _next, _id, _node, _outputs, _left, _out, _d, _c), do: :general

  defp field(<<0xA2, "us", rest::bits>>, :us, id, node, outputs, left, out, d, c),
    do: integer(rest, :ran, id, node, outputs, left, out, d, c)

  defp field(<<0xA3, "ran", rest::bits>>, :ran, id, node, outputs, left, out, d, c),
    do: integer(rest, :cached, id, node, outputs, left, out, d, c)

  for {cached, skipped, status} <- [
        {0xC2, 0xC2, :completed},
        {0xC3, 0xC2, :cached},
        {0xC2, 0xC3, :skipped},
        {0xC3, 0xC3, :skipped}
      ] do
    defp field(
           <<0xA6, "cached", unquote(cached), 0xA7, "skipped", unquote(skipped), rest::bits>>,
           :cached,
           id,
           node,
           outputs,
           left,
           out,
           d,
           c
         ),
         do: complete(rest, id, node, outputs, unquote(status), left, out, d, c)
  end

  defp field(_rest, _next, _id, _node, _outputs, _left, _out, _d, _c), do: :general

  defp complete(rest, id, node, outputs, status, left, out, d, c),
    do: batch(rest, left, [{:demand_complete, id, node, outputs, status} | out], d, c)

  @doc "What an answer's `meta` says of how it came about."
  @spec status(map) :: :completed | :cached | :skipped | {:completed | :cached | :skipped, map}
  def status(%{"provenance" => told} = meta) when is_map(told),
    do: {meta |> Map.delete("provenance") |> status(), told}

  def status(%{"skipped" => true}), do: :skipped
  def status(%{"cached" => true}), do: :cached
  def status(_meta), do: :completed

  for name <- @frequent_ports do
    defp port(
           <<unquote(0xA0 + byte_size(name)), unquote(name), rest::bits>>,
           id,
           node,
           left,
           out,
           d,
           c
         ),
         do: chunk(rest, id, node, unquote(name), left, out, d, c)
  end

  defp port(<<size, port::binary-size(size - 0xA0), rest::bits>>, id, node, left, out, d, c)
       when size < 0xC0 do
    if Utf8.valid?(port), do: chunk(rest, id, node, Decoder.text(port, c), left, out, d, c), else: :general
  end

  defp port(_rest, _id, _node, _left, _out, _d, _c), do: :general

  defp chunk(<<size, text::binary-size(size - 0xA0), rest::bits>>, id, node, port, left, out, d, c)
       when size < 0xC0 do
    if Utf8.valid?(text),
      do: batch(rest, left, [{:node_stream, id, node, port, Decoder.text(text, c)} | out], d, c),
      else: :general
  end

  defp chunk(rest, id, node, port, left, out, d, c) do
    case Decoder.value(rest, d, c) do
      {:ok, chunk, rest} -> batch(rest, left, [{:node_stream, id, node, port, chunk} | out], d, c)
      {:error, _error} -> :general
    end
  end
end
