defmodule Graphport.Builder do
  @moduledoc """
  Builds a graph, the map that `Graphport.open/3` takes, in a pipeline.

      iex> alias Graphport.Builder
      iex> graph =
      ...>   Builder.new()
      ...>   |> Builder.node("prompt", "text-input", text: "Why is the sky blue?")
      ...>   |> Builder.node("answer", "text-output")
      ...>   |> Builder.edge({"prompt", "text"}, {"answer", "text"})
      ...>   |> Builder.setting("temperature", 0.2)
      ...>   |> Builder.to_graph()
      iex> graph["nodes"]
      [
        %{"id" => "prompt", "type" => "text-input", "data" => %{"text" => "Why is the sky blue?"}},
        %{"id" => "answer", "type" => "text-output", "data" => %{}}
      ]
      iex> graph["edges"]
      [%{"source" => "prompt", "source_handle" => "text", "target" => "answer", "target_handle" => "text"}]
      iex> graph["settings"]
      %{"temperature" => 0.2}

  A value, not a process. What is plainly a slip raises `ArgumentError` where it stands: an id that is used twice, an edge
  to a node that is not there, one that is there already. Types, ports and circles are judged by the engine, which knows
  them. With `import Graphport.Builder` the pipeline is `new() |> node("prompt", "text-input") |> ...`.
  """

  # `known` has the ids, and what edges join.
  @enforce_keys [:nodes, :edges, :settings, :known]
  defstruct [:nodes, :edges, :settings, :known]

  @typedoc "A graph in the making; nodes and edges newest first."
  @opaque t :: %__MODULE__{nodes: [map], edges: [map], settings: map, known: MapSet.t()}

  @typedoc "One end of an edge: a node's id, and the name of one of its ports."
  @type port_of_node :: {node_id :: String.t(), port :: String.t() | atom}

  @doc """
  A graph without nodes.

      iex> Graphport.Builder.new() |> Graphport.Builder.to_graph()
      %{"nodes" => [], "edges" => []}
  """
  @spec new() :: t
  def new, do: %__MODULE__{nodes: [], edges: [], settings: %{}, known: MapSet.new()}

  @doc """
  Adds a node: its id, its type, and values for its inputs as a keyword list or a map. Atoms as keys become text.

      iex> alias Graphport.Builder
      iex> Builder.new() |> Builder.node("a", "merge", %{"inputs" => ["x"], label: "Join"}) |> Builder.to_graph()
      %{"nodes" => [%{"id" => "a", "type" => "merge", "data" => %{"inputs" => ["x"], "label" => "Join"}}], "edges" => []}

      iex> alias Graphport.Builder
      iex> Builder.new() |> Builder.node("a", "merge") |> Builder.node("a", "text-input")
      ** (ArgumentError) the graph has a node "a" already; ids must differ
  """
  @spec node(t, String.t(), String.t(), keyword | map) :: t
  def node(%__MODULE__{} = builder, id, type, data \\ []) do
    id = text!(id, "a node's id")

    if MapSet.member?(builder.known, id),
      do: raise(ArgumentError, "the graph has a node #{inspect(id)} already; ids must differ")

    node = %{"id" => id, "type" => text!(type, "a node's type"), "data" => data!(data)}
    %{builder | nodes: [node | builder.nodes], known: MapSet.put(builder.known, id)}
  end

  @doc """
  Adds an edge from an output of a node to an input of another; both nodes must be there.

      iex> alias Graphport.Builder
      iex> Builder.new() |> Builder.node("a", "merge") |> Builder.edge({"a", "merged"}, {"b", "text"})
      ** (ArgumentError) there is no node "b" in the graph; add it before its edges
  """
  @spec edge(t, port_of_node, port_of_node) :: t
  def edge(%__MODULE__{} = builder, from, to) do
    {source, output} = end!(builder, from)
    {target, input} = end!(builder, to)
    edge = %{"source" => source, "source_handle" => output, "target" => target, "target_handle" => input}

    if MapSet.member?(builder.known, edge),
      do: raise(ArgumentError, "the graph has an edge from #{inspect(from)} to #{inspect(to)} already")

    %{builder | edges: [edge | builder.edges], known: MapSet.put(builder.known, edge)}
  end

  @doc """
  Sets a setting of the graph, which inputs can ask for.

      iex> alias Graphport.Builder
      iex> graph = Builder.new() |> Builder.setting(:depth, 3) |> Builder.to_graph()
      iex> graph["settings"]
      %{"depth" => 3}

      iex> alias Graphport.Builder
      iex> Builder.new() |> Builder.setting("depth", 3) |> Builder.setting(:depth, 4)
      ** (ArgumentError) the graph has a setting "depth" already
  """
  @spec setting(t, String.t() | atom, term) :: t
  def setting(%__MODULE__{} = builder, name, value) do
    name = text!(name, "a setting's name")

    if is_map_key(builder.settings, name),
      do: raise(ArgumentError, "the graph has a setting #{inspect(name)} already")

    %{builder | settings: Map.put(builder.settings, name, value)}
  end

  @doc "The graph, as the map that `Graphport.open/3` takes and JSON can hold."
  @spec to_graph(t) :: map
  def to_graph(%__MODULE__{} = builder) do
    graph = %{"nodes" => Enum.reverse(builder.nodes), "edges" => Enum.reverse(builder.edges)}
    if builder.settings == %{}, do: graph, else: Map.put(graph, "settings", builder.settings)
  end

  defp end!(builder, {id, port}) do
    id = text!(id, "a node's id")

    unless MapSet.member?(builder.known, id),
      do: raise(ArgumentError, "there is no node #{inspect(id)} in the graph; add it before its edges")

    {id, text!(port, "a port's name")}
  end

  defp end!(_builder, other),
    do: raise(ArgumentError, "an end of an edge is {node, port}, got: #{inspect(other)}")

  defp data!(data) when is_list(data) or (is_map(data) and not is_struct(data)) do
    Enum.reduce(data, %{}, fn
      {name, value}, read ->
        name = text!(name, "an input's name")

        if is_map_key(read, name),
          do: raise(ArgumentError, "the input #{inspect(name)} is given twice"),
          else: Map.put(read, name, value)

      other, _read ->
        wrong_data(other)
    end)
  end

  defp data!(other), do: wrong_data(other)

  @spec wrong_data(term) :: no_return
  defp wrong_data(other),
    do: raise(ArgumentError, "a node's data is a keyword list or a map, got: #{inspect(other)}")

  defp text!(atom, what) when is_atom(atom) and atom not in [nil, true, false],
    do: atom |> Atom.to_string() |> text!(what)

  defp text!(text, what) do
    if is_binary(text) and text != "" and String.valid?(text),
      do: text,
      else: raise(ArgumentError, "#{what} is a text that is not empty, got: #{inspect(text)}")
  end
end
