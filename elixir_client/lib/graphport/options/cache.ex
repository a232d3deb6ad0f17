defmodule Graphport.Options.Cache do
  # The option `:cache` of an instance: which values it takes, and how the engines are told.
  @moduledoc false

  @kinds [:sqlite, :filesystem]
  # What a float holds exactly is more than any disk does.
  @most 9_007_199_254_740_992

  @doc "Whether a value is one that the option takes."
  @spec valid?(term) :: boolean
  def valid?(value), do: settings?(value, [:max_bytes, :max_entries, :store])

  @doc "The value as the engines take it."
  @spec to_wire(keyword) :: map
  def to_wire(value) do
    Map.new(value, fn
      {:store, nil} -> {"store", nil}
      {:store, {kind, path}} -> {"store", store(kind, path, [])}
      {:store, {kind, path, bounds}} -> {"store", store(kind, path, bounds)}
      {bound, number} -> {Atom.to_string(bound), number}
    end)
  end

  # Expanded here, so that engines that start later, wherever the app stands then, use the same one.
  defp store(kind, path, bounds) do
    bounds
    |> Map.new(fn {bound, number} -> {Atom.to_string(bound), number} end)
    |> Map.merge(%{"kind" => Atom.to_string(kind), "path" => Path.expand(path)})
  end

  defp settings?(value, names) do
    Keyword.keyword?(value) and Enum.uniq(Keyword.keys(value)) == Keyword.keys(value) and
      Enum.all?(value, fn {name, setting} -> name in names and setting?(name, setting) end)
  end

  defp setting?(:store, nil), do: true
  defp setting?(:store, {kind, path}), do: setting?(:store, {kind, path, []})

  defp setting?(:store, {kind, path, bounds}),
    do: kind in @kinds and path?(path) and settings?(bounds, [:max_bytes, :max_entries])

  defp setting?(:store, _other), do: false
  defp setting?(_bound, number), do: is_integer(number) and number in 1..@most

  defp path?(path),
    do: is_binary(path) and path != "" and String.valid?(path) and not String.contains?(path, <<0>>)
end
