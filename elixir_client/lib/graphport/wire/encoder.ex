defmodule Graphport.Wire.Encoder do
  # Terms to MessagePack, as PROTOCOL.md §2 has it, as iodata: long binaries are not copied. Pure. A term without a
  # form on the wire is `:unencodable_value`. Called by `Messages`, in the process that writes.
  @moduledoc false

  import Bitwise, only: [|||: 2]
  import Graphport.Wire.Limits

  alias Graphport.{Bytes, Error}
  alias Graphport.Wire.{Extension, Utf8}

  @compile {:inline, text: 1, integer: 1, list_header: 1, map_header: 1}
  @compile :inline_list_funcs

  # Texts up to this length are written together with their header.
  @joined_bytes 31

  @doc "A term as iodata."
  @spec encode(term) :: {:ok, iodata} | {:error, Error.t()}
  def encode(term) do
    {:ok, encode!(term)}
  catch
    {:unencodable, text} -> {:error, %Error{code: :unencodable_value, message: text}}
  end

  @doc "Like `encode/1`, but throws `{:unencodable, text}`."
  @spec encode!(term) :: iodata
  def encode!(term), do: enc(term, 0, 0)

  @doc "The header of a list of `size` elements."
  @spec list_header(non_neg_integer) :: binary
  def list_header(size) when size < 16, do: <<0x90 ||| size>>
  def list_header(size) when size < 0x10000, do: <<0xDC, size::16>>
  def list_header(size) when size < 0x100000000, do: <<0xDD, size::32>>
  def list_header(size), do: refuse("a list of #{size} elements is too long")

  @doc "The header of a map of `size` pairs."
  @spec map_header(non_neg_integer) :: binary
  def map_header(size) when size < 16, do: <<0x80 ||| size>>
  def map_header(size) when size < 0x10000, do: <<0xDE, size::16>>
  def map_header(size), do: <<0xDF, size::32>>

  @doc "The pairs of a map that stands in a message, without its header. Throws like `encode!/1`."
  @spec pairs!(map) :: iodata
  def pairs!(map), do: pairs(map, 0, 0)

  # enc(term, depth, exts): levels of lists and maps around the term, and of tuples and sets.
  defp enc(term, _depth, _exts) when is_binary(term), do: text(term)
  defp enc(term, _depth, _exts) when is_integer(term), do: integer(term)
  defp enc(term, _depth, _exts) when is_float(term), do: <<0xCB, term::float-64>>
  defp enc(term, depth, exts) when is_list(term), do: list(term, depth, exts)
  defp enc(nil, _depth, _exts), do: <<0xC0>>
  defp enc(false, _depth, _exts), do: <<0xC2>>
  defp enc(true, _depth, _exts), do: <<0xC3>>
  defp enc(:nan, _depth, _exts), do: <<0xCB, 0x7FF8000000000000::64>>
  defp enc(:infinity, _depth, _exts), do: <<0xCB, 0x7FF0000000000000::64>>
  defp enc(:neg_infinity, _depth, _exts), do: <<0xCB, 0xFFF0000000000000::64>>
  defp enc(term, _depth, _exts) when is_atom(term), do: text(Atom.to_string(term))
  defp enc(%{__struct__: _} = term, depth, exts), do: struct(term, depth, exts)
  defp enc(term, depth, exts) when is_map(term), do: map(term, depth, exts)

  defp enc(term, depth, exts) when is_tuple(term),
    do: items(Extension.tuple(), Tuple.to_list(term), depth, exts)

  defp enc(term, _depth, _exts), do: refuse("#{kind(term)} has no form on the wire")

  defp text(text) do
    if Utf8.valid?(text) do
      case byte_size(text) do
        size when size <= @joined_bytes -> <<0xA0 ||| size, text::binary>>
        size when size < 0x100 -> [<<0xD9, size>> | text]
        size when size < 0x10000 -> [<<0xDA, size::16>> | text]
        size when size < 0x100000000 -> [<<0xDB, size::32>> | text]
        size -> refuse("a text of #{size} bytes is too long")
      end
    else
      refuse("a binary that is not UTF-8 has no form as text; wrap it in Graphport.bytes/1")
    end
  end

  defp bytes(data) do
    case byte_size(data) do
      size when size < 0x100 -> [<<0xC4, size>> | data]
      size when size < 0x10000 -> [<<0xC5, size::16>> | data]
      size when size < 0x100000000 -> [<<0xC6, size::32>> | data]
      size -> refuse("a binary of #{size} bytes is too long")
    end
  end

  defp integer(i) when i >= 0 and i < 0x80, do: <<i>>
  defp integer(i) when i >= 0 and i < 0x100, do: <<0xCC, i>>
  defp integer(i) when i >= 0 and i < 0x10000, do: <<0xCD, i::16>>
  defp integer(i) when i >= 0 and i < 0x100000000, do: <<0xCE, i::32>>
  defp integer(i) when i >= 0 and i <= 0xFFFFFFFFFFFFFFFF, do: <<0xCF, i::64>>
  defp integer(i) when i >= -0x20 and i < 0, do: <<i::signed>>
  defp integer(i) when i >= -0x80 and i < 0, do: <<0xD0, i::signed>>
  defp integer(i) when i >= -0x8000 and i < 0, do: <<0xD1, i::signed-16>>
  defp integer(i) when i >= -0x80000000 and i < 0, do: <<0xD2, i::signed-32>>
  defp integer(i) when i >= -0x8000000000000000 and i < 0, do: <<0xD3, i::signed-64>>

  defp integer(i) do
    case Extension.write(i) do
      {type, payload} -> extension(type, payload, byte_size(payload))
      :error -> refuse("an integer of more than #{max_big_int_bytes()} bytes has no form on the wire")
    end
  end

  defp list(term, depth, exts) do
    deeper(depth)
    size = proper_length(term)
    [list_header(size) | elements(term, depth + 1, exts)]
  end

  defp proper_length(list) do
    length(list)
  rescue
    ArgumentError -> refuse("an improper list has no form on the wire")
  end

  defp elements([], _depth, _exts), do: []
  defp elements([item | rest], depth, exts), do: [enc(item, depth, exts) | elements(rest, depth, exts)]

  defp map(term, depth, exts) do
    deeper(depth)
    [map_header(map_size(term)) | pairs(term, depth, exts)]
  end

  defp pairs(map, depth, exts),
    do: :maps.fold(fn key, value, acc -> [key(key), enc(value, depth + 1, exts) | acc] end, [], map)

  defp key(key) when is_binary(key), do: text(key)
  defp key(key) when is_atom(key) or is_float(key), do: enc(key, 0, 0)

  defp key(key) when is_integer(key) and key >= -0x8000000000000000 and key <= 0xFFFFFFFFFFFFFFFF,
    do: integer(key)

  defp key(%Bytes{data: data}), do: bytes(data)
  defp key(key), do: refuse("#{kind(key)} cannot be a map key on the wire")

  defp struct(%Bytes{data: data}, _depth, _exts), do: bytes(data)

  defp struct(%MapSet{} = set, depth, exts) do
    members = MapSet.to_list(set)

    unless Enum.all?(members, &Extension.member?/1),
      do: refuse("a set with a list, a map or a set in it has no form on the wire")

    items(Extension.set(), members, depth, exts)
  end

  defp struct(%module{} = term, _depth, _exts) do
    case Extension.write(term) do
      {type, payload} ->
        extension(type, payload, byte_size(payload))

      :error ->
        refuse(
          "a struct of #{inspect(module)} has no form on the wire, or not with this value; make it a plain map"
        )
    end
  end

  defp items(_type, _items, _depth, exts) when exts >= max_nested_exts(),
    do: refuse("tuples and sets nested deeper than #{max_nested_exts()}")

  defp items(type, items, depth, exts) do
    payload = list(items, depth, exts + 1)
    extension(type, payload, :erlang.iolist_size(payload))
  end

  defp extension(type, payload, 1), do: [<<0xD4, type>> | payload]
  defp extension(type, payload, 2), do: [<<0xD5, type>> | payload]
  defp extension(type, payload, 4), do: [<<0xD6, type>> | payload]
  defp extension(type, payload, 8), do: [<<0xD7, type>> | payload]
  defp extension(type, payload, 16), do: [<<0xD8, type>> | payload]
  defp extension(type, payload, size) when size < 0x100, do: [<<0xC7, size, type>> | payload]
  defp extension(type, payload, size) when size < 0x10000, do: [<<0xC8, size::16, type>> | payload]
  defp extension(type, payload, size), do: [<<0xC9, size::32, type>> | payload]

  defp deeper(depth) when depth < max_depth_written(), do: :ok
  defp deeper(_depth), do: refuse("lists and maps nested deeper than #{max_depth_written()}")

  defp kind(term) when is_pid(term), do: "a pid"
  defp kind(term) when is_function(term), do: "a function"
  defp kind(term) when is_reference(term), do: "a reference"
  defp kind(term) when is_port(term), do: "a port"
  defp kind(term) when is_bitstring(term), do: "a bitstring"
  defp kind(%module{}), do: "a struct of #{inspect(module)}"
  defp kind(term) when is_map(term), do: "a map"
  defp kind(term) when is_list(term), do: "a list"
  defp kind(term) when is_integer(term), do: "an integer over 64 bit"
  defp kind(_term), do: "a tuple"

  @spec refuse(String.t()) :: no_return
  defp refuse(text), do: throw({:unencodable, text})
end
