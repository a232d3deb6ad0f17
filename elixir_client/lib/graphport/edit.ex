defmodule Graphport.Edit do
  @moduledoc """
  Edits of a session's graph, for `Graphport.update/3`:

    * `{:set, node, data}` - merges keys into a node's data; `nil` takes a key out;
    * `{:put, node}` - adds a node, a map with `"id"` and `"type"`; or replaces the one of that id, which keeps its edges;
    * `{:remove, node}` - a node, with its edges;
    * `{:connect, {source, port}, {target, port}}` - adds an edge;
    * `{:disconnect, {source, port}, {target, port}}` - removes an edge;
    * `{:settings, settings}` - merges keys into the graph's settings; `nil` takes a key out.

  Nodes and ports are strings. Keys of maps may be atoms.
  """

  @type ending :: {node_id :: String.t(), port :: String.t()}
  @type t ::
          {:set, String.t(), map}
          | {:put, map}
          | {:remove, String.t()}
          | {:connect, ending, ending}
          | {:disconnect, ending, ending}
          | {:settings, map}

  @doc """
  Edits as they travel. Raises `ArgumentError` for what is no edit.

      iex> Graphport.Edit.to_wire!([{:set, "prompt", %{text: "Why?"}}, {:remove, "old"}])
      [%{"set" => "prompt", "data" => %{"text" => "Why?"}}, %{"remove" => "old"}]

      iex> Graphport.Edit.to_wire!(connect: {{"a", "text"}, {"b", "text"}})
      ** (ArgumentError) expected an edit such as {:set, "node", %{"port" => value}}, got: {:connect, {{"a", "text"}, {"b", "text"}}}
  """
  @spec to_wire!([t] | t) :: [map]
  def to_wire!(edits) when is_list(edits), do: Enum.map(edits, &edit!/1)
  def to_wire!(edit) when is_tuple(edit), do: [edit!(edit)]
  def to_wire!(other), do: raise(ArgumentError, "expected a list of edits, got: #{inspect(other)}")

  defp edit!({:set, node, data} = edit) when is_binary(node) and is_map(data),
    do: %{"set" => node, "data" => keys!(data, edit)}

  defp edit!({:put, node} = edit) when is_map(node) do
    node = keys!(node, edit)
    node = if is_map(node["data"]), do: %{node | "data" => keys!(node["data"], edit)}, else: node
    %{"put" => node}
  end

  defp edit!({:remove, node}) when is_binary(node), do: %{"remove" => node}
  defp edit!({:connect, from, to} = edit), do: %{"connect" => edge!(from, to, edit)}
  defp edit!({:disconnect, from, to} = edit), do: %{"disconnect" => edge!(from, to, edit)}
  defp edit!({:settings, settings} = edit) when is_map(settings), do: %{"settings" => keys!(settings, edit)}
  defp edit!(other), do: wrong(other)

  defp edge!({source, out}, {target, into}, _edit)
       when is_binary(source) and is_binary(out) and is_binary(target) and is_binary(into),
       do: %{"source" => source, "source_handle" => out, "target" => target, "target_handle" => into}

  defp edge!(_from, _to, edit), do: wrong(edit)

  defp keys!(map, edit) when not is_struct(map) do
    Map.new(map, fn
      {key, value} when is_binary(key) -> {key, value}
      {key, value} when is_atom(key) and key not in [nil, true, false] -> {Atom.to_string(key), value}
      _other -> wrong(edit)
    end)
  end

  defp keys!(_struct, edit), do: wrong(edit)

  @spec wrong(term) :: no_return
  defp wrong(edit) do
    raise ArgumentError,
          "expected an edit such as {:set, \"node\", %{\"port\" => value}}, got: #{inspect(edit)}"
  end
end
