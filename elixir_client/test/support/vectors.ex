defmodule Graphport.Vectors do
  # Reads the wire vectors that both languages run, and turns their neutral notation into terms.
  # Used by the vector tests at compile time, so that each vector is a test with a name of its own.
  @moduledoc false

  @folder Path.expand("../../../tests/wire/vectors", __DIR__)

  def folder, do: @folder

  def all do
    {:ok, rows} = :file.consult(Path.join(@folder, "vectors.eterm"))

    for {kind, name, verdict, hex, value, exact, messages} <- rows do
      %{
        kind: kind,
        name: name,
        verdict: String.to_atom(verdict),
        hex: hex,
        value: value,
        exact: exact,
        messages: messages
      }
    end
  end

  def codes do
    {:ok, rows} = :file.consult(Path.join(@folder, "errors.eterm"))
    for {code, _meaning} <- rows, do: String.to_atom(code)
  end

  @doc "The bytes of the notation `d920 61*32`."
  def frame(text) do
    text
    |> String.split()
    |> Enum.map(fn part ->
      case String.split(part, "*") do
        [hex] ->
          Base.decode16!(hex, case: :lower)

        [hex, count] ->
          bytes = Base.decode16!(hex, case: :lower)
          head = binary_part(bytes, 0, byte_size(bytes) - 1)
          head <> :binary.copy(binary_part(bytes, byte_size(bytes) - 1, 1), String.to_integer(count))
      end
    end)
    |> IO.iodata_to_binary()
  end

  @doc "The term a reader makes of a value."
  def expected(tagged), do: term(tagged, & &1)

  @doc "The term that a writer must be given: bytes are wrapped."
  def given(tagged), do: term(tagged, &%Graphport.Bytes{data: &1})

  defp term(nil, _bytes), do: nil
  defp term({nil}, _bytes), do: nil
  defp term({kind, value}, _bytes) when kind in [:bool, :int, :float, :str], do: value
  defp term({:special, "minus_zero"}, _bytes), do: -0.0
  defp term({:special, name}, _bytes), do: String.to_atom(name)
  defp term({:bytes, hex}, bytes), do: bytes.(Base.decode16!(hex, case: :lower))
  defp term({:repeat_str, text, count}, _bytes), do: String.duplicate(text, count)

  defp term({:repeat_bytes, hex, count}, bytes),
    do: bytes.(:binary.copy(Base.decode16!(hex, case: :lower), count))

  defp term({:repeat_list, item, count}, bytes), do: List.duplicate(term(item, bytes), count)
  defp term({:nested, levels}, _bytes), do: Enum.reduce(2..levels, [], fn _, inner -> [inner] end)
  defp term({:nested_tuple, levels}, _bytes), do: Enum.reduce(2..levels, {}, fn _, inner -> {inner} end)
  defp term({:power, base, exponent}, _bytes), do: Integer.pow(base, exponent)
  defp term({:list, items}, bytes), do: Enum.map(items, &term(&1, bytes))
  defp term({:tuple, items}, bytes), do: items |> Enum.map(&term(&1, bytes)) |> List.to_tuple()
  defp term({:set, items}, bytes), do: MapSet.new(items, &term(&1, bytes))
  defp term({:map, pairs}, bytes), do: Map.new(pairs, fn [k, v] -> {term(k, bytes), term(v, bytes)} end)
  defp term({:naive, text}, _bytes), do: NaiveDateTime.from_iso8601!(text)
  defp term({:date, text}, _bytes), do: Date.from_iso8601!(text)
  defp term({:time, text}, _bytes), do: Time.from_iso8601!(text)
  defp term({:timestamp_us, {:int, us}}, _bytes), do: DateTime.from_unix!(us, :microsecond)
end
