defmodule Graphport.JSON do
  # JSON text to terms, for graphs given as text: OTP 25 has no JSON module and Graphport has no dependency.
  # Strict RFC 8259: no comments, no trailing commas, one value. Keys stay strings. Uses Elixir's own `JSON` where the
  # running version has it. Called by `GraphSource` only.
  @moduledoc false

  @max_depth 1_000

  @spec decode(binary) :: {:ok, term} | {:error, String.t()}
  def decode(text) when is_binary(text) do
    if Code.ensure_loaded?(JSON) and function_exported?(JSON, :decode, 1) do
      case apply(JSON, :decode, [text]) do
        {:ok, value} -> {:ok, value}
        {:error, reason} -> {:error, "not JSON: #{inspect(reason)}"}
      end
    else
      own_decode(text)
    end
  end

  @doc "The decoder of this module, whatever the running version has."
  @spec own_decode(binary) :: {:ok, term} | {:error, String.t()}
  def own_decode(text) do
    {value, rest} = value(blank(text), 0)

    case blank(rest) do
      "" -> {:ok, value}
      rest -> fail(rest, "text after the value")
    end
  catch
    {:json, rest, what} -> {:error, "not JSON at byte #{byte_size(text) - byte_size(rest)}: #{what}"}
  end

  defp value(rest, depth) when depth > @max_depth, do: fail(rest, "nested deeper than #{@max_depth}")
  defp value("{" <> rest, depth), do: object(blank(rest), depth + 1)
  defp value("[" <> rest, depth), do: array(blank(rest), depth + 1)
  defp value("\"" <> rest, _depth), do: string(rest, [])
  defp value("true" <> rest, _depth), do: {true, rest}
  defp value("false" <> rest, _depth), do: {false, rest}
  defp value("null" <> rest, _depth), do: {nil, rest}
  defp value(<<c, _::bits>> = rest, _depth) when c in ?0..?9 or c == ?-, do: number(rest)
  defp value(rest, _depth), do: fail(rest, "expected a value")

  defp object("}" <> rest, _depth), do: {%{}, rest}
  defp object(rest, depth), do: members(rest, depth, [])

  defp members("\"" <> rest, depth, pairs) do
    {key, rest} = string(rest, [])
    {value, rest} = rest |> blank() |> expect(":") |> blank() |> value(depth)
    pairs = [{key, value} | pairs]

    case blank(rest) do
      "," <> rest -> members(blank(rest), depth, pairs)
      "}" <> rest -> {Map.new(Enum.reverse(pairs)), rest}
      rest -> fail(rest, "expected \",\" or \"}\"")
    end
  end

  defp members(rest, _depth, _pairs), do: fail(rest, "expected a key in quotes")

  defp array("]" <> rest, _depth), do: {[], rest}
  defp array(rest, depth), do: elements(rest, depth, [])

  defp elements(rest, depth, items) do
    {item, rest} = value(rest, depth)

    case blank(rest) do
      "," <> rest -> elements(blank(rest), depth, [item | items])
      "]" <> rest -> {Enum.reverse([item | items]), rest}
      rest -> fail(rest, "expected \",\" or \"]\"")
    end
  end

  # Parts are gathered in reverse; a run without escapes is taken whole.
  defp string(text, parts) do
    length = plain(text, 0)
    <<run::binary-size(length), rest::binary>> = text

    case rest do
      "\"" <> rest -> {IO.iodata_to_binary(Enum.reverse([run | parts])), rest}
      "\\" <> rest -> escape(rest, [run | parts])
      rest -> fail(rest, "a text without its end, with a control character or not UTF-8")
    end
  end

  defp plain(text, at) do
    case text do
      <<_::binary-size(at), c, _::bits>> when c >= 0x20 and c < 0x80 and c != ?" and c != ?\\ ->
        plain(text, at + 1)

      <<_::binary-size(at), c::utf8, _::bits>> when c >= 0x80 ->
        plain(text, at + byte_size(<<c::utf8>>))

      _end ->
        at
    end
  end

  for {char, byte} <- [{?", ?"}, {?\\, ?\\}, {?/, ?/}, {?b, ?\b}, {?f, ?\f}, {?n, ?\n}, {?r, ?\r}, {?t, ?\t}] do
    defp escape(<<unquote(char), rest::binary>>, parts), do: string(rest, [<<unquote(byte)>> | parts])
  end

  defp escape(<<"u", hex::binary-size(4), rest::binary>> = text, parts) do
    case {unit(hex, text), rest} do
      {high, <<"\\u", hex::binary-size(4), rest::binary>>} when high in 0xD800..0xDBFF ->
        low = unit(hex, text)
        unless low in 0xDC00..0xDFFF, do: fail(text, "half a surrogate pair")
        string(rest, [<<0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00)::utf8>> | parts])

      {lone, _rest} when lone in 0xD800..0xDFFF ->
        fail(text, "half a surrogate pair")

      {char, rest} ->
        string(rest, [<<char::utf8>> | parts])
    end
  end

  defp escape(rest, _parts), do: fail(rest, "an unknown escape")

  defp unit(hex, text) do
    case Base.decode16(hex, case: :mixed) do
      {:ok, <<unit::16>>} -> unit
      :error -> fail(text, "an escape that is not hexadecimal")
    end
  end

  defp number(text) do
    case Regex.run(~r/\A(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][+-]?[0-9]+)?/, text) do
      [all, integer] -> {String.to_integer(integer), drop(text, all)}
      [all, integer, fraction] -> {float(text, integer <> fraction), drop(text, all)}
      [all, integer, "", power] -> {float(text, integer <> ".0" <> power), drop(text, all)}
      [all, integer, fraction, power] -> {float(text, integer <> fraction <> power), drop(text, all)}
      nil -> fail(text, "a malformed number")
    end
  end

  defp float(text, digits) do
    case Float.parse(digits) do
      {float, ""} -> float
      _other -> fail(text, "a number out of range")
    end
  rescue
    ArgumentError -> fail(text, "a number out of range")
  end

  defp drop(text, prefix), do: binary_part(text, byte_size(prefix), byte_size(text) - byte_size(prefix))

  defp expect(":" <> rest, ":"), do: rest
  defp expect(rest, ":"), do: fail(rest, "expected \":\"")

  defp blank(<<c, rest::binary>>) when c in [?\s, ?\t, ?\n, ?\r], do: blank(rest)
  defp blank(rest), do: rest

  @spec fail(binary, String.t()) :: no_return
  defp fail(rest, what), do: throw({:json, rest, what})
end
