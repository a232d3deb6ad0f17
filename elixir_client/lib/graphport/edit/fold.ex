defmodule Graphport.Edit.Fold do
  # Folds edits that an engine has accepted into the graph that a session keeps, so that it is loaded as it is now when its
  # engine is replaced. Does what `graph/edit.py` does, for graphs of Graphport's own shape only (`own?/1`): of others the
  # session asks the engine. Judges nothing. Pure. Called by `SessionUpdates`.
  @moduledoc false

  # Where editors keep a node's type, in the order in which it is looked for.
  @type_words ~w(node_type nodeType)

  @doc "Whether a graph has Graphport's own shape, with text as keys."
  @spec own?(term) :: boolean
  def own?(%{"nodes" => nodes} = graph) when is_list(nodes) do
    edges = graph["edges"] || []
    settings = graph["settings"] || %{}

    not is_map_key(graph, "tasks") and not is_map_key(graph, "groups") and is_list(edges) and plain?(settings) and
      Enum.all?(nodes, &own_node?/1) and Enum.all?(edges, &own_edge?/1)
  end

  def own?(_other), do: false

  defp own_node?(%{"id" => id, "type" => type} = node) when is_binary(id) and is_binary(type) do
    data = Map.get(node, "data", %{})
    plain?(data) and Enum.all?(@type_words, &(not is_map_key(node, &1) and not is_map_key(data, &1)))
  end

  defp own_node?(_other), do: false

  defp own_edge?(%{"source" => source, "source_handle" => out, "target" => target, "target_handle" => into}),
    do: is_binary(source) and is_binary(out) and is_binary(target) and is_binary(into)

  defp own_edge?(_other), do: false

  defp plain?(map),
    do: is_map(map) and not is_struct(map) and Enum.all?(map, fn {key, _} -> is_binary(key) end)

  @doc "The graph with edits, in the form of the wire, folded in."
  @spec fold(map, [map]) :: map
  def fold(graph, []), do: graph

  def fold(graph, edits) do
    nodes =
      graph["nodes"] |> Enum.with_index() |> Map.new(fn {node, place} -> {node["id"], {place, node}} end)

    start = %{nodes: nodes, edges: %{}, at: %{}, next: map_size(nodes), settings: graph["settings"] || %{}}
    state = Enum.reduce(graph["edges"] || [], start, &connect/2)
    state = Enum.reduce(edits, state, &apply_edit/2)

    graph
    |> Map.put("nodes", in_order(state.nodes))
    |> Map.put("edges", in_order(state.edges))
    |> Map.put("settings", state.settings)
  end

  defp in_order(items),
    do: items |> Map.values() |> Enum.sort_by(&elem(&1, 0)) |> Enum.map(&elem(&1, 1))

  defp apply_edit(%{"set" => id, "data" => data}, state),
    do: update_in(state.nodes[id], fn {place, node} -> {place, set(node, data)} end)

  defp apply_edit(%{"put" => %{"id" => id} = node}, state) do
    case state.nodes do
      %{^id => {place, _before}} -> put_in(state.nodes[id], {place, node})
      _new -> %{put_in(state.nodes[id], {state.next, node}) | next: state.next + 1}
    end
  end

  defp apply_edit(%{"remove" => id}, state) do
    {places, at} = Map.pop(state.at, id, [])
    %{state | nodes: Map.delete(state.nodes, id), edges: Map.drop(state.edges, places), at: at}
  end

  defp apply_edit(%{"connect" => edge}, state), do: connect(edge, state)

  defp apply_edit(%{"disconnect" => edge}, state) do
    {places, at} = Map.pop(state.at, key(edge), [])
    %{state | edges: Map.drop(state.edges, places), at: at}
  end

  defp apply_edit(%{"settings" => settings}, state), do: %{state | settings: merge(state.settings, settings)}

  # Places of edges are noted by their ends and by all four of them together; of those that are gone they may stay.
  defp connect(edge, state) do
    place = state.next
    {source, _out, target, _into} = key = key(edge)

    at =
      Enum.reduce([key, source, target], state.at, fn end_, at ->
        Map.update(at, end_, [place], &[place | &1])
      end)

    %{state | edges: Map.put(state.edges, place, {place, edge}), at: at, next: place + 1}
  end

  defp key(%{"source" => source, "target" => target} = edge),
    do: {source, edge["source_handle"], target, edge["target_handle"]}

  defp set(node, data) do
    before = node["data"] || %{}
    # A word that would from now on be taken for the node's type: that stays what it was.
    node = if Enum.any?(@type_words, &is_map_key(data, &1)), do: pin(node, before), else: node
    Map.put(node, "data", merge(before, data))
  end

  defp pin(node, data) do
    given = for holder <- [node, data], word <- @type_words, type = holder[word], do: type
    node |> Map.drop(@type_words) |> Map.put("node_type", hd(given ++ [node["type"]]))
  end

  defp merge(map, given) do
    Enum.reduce(given, map, fn
      {key, nil}, map -> Map.delete(map, key)
      {key, value}, map -> Map.put(map, key, value)
    end)
  end
end
