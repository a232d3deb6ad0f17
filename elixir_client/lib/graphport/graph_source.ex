defmodule Graphport.GraphSource do
  # A graph from what `Graphport.open/3` is given: a map, JSON text or a file of it. Reads files in the caller.
  # Says nothing of what the graph means: the engine validates it.
  @moduledoc false

  alias Graphport.{Error, JSON}

  @type t :: map | {:json, String.t()} | {:file, Path.t()}

  @spec load(t) :: {:ok, map} | {:error, Error.t()}
  def load(graph) when is_map(graph) and not is_struct(graph), do: {:ok, graph}
  def load({:json, text}) when is_binary(text), do: parse(text, "the text")

  def load({:file, path}) do
    case File.read(path) do
      {:ok, text} -> parse(text, path)
      {:error, reason} -> invalid("cannot read #{path}: #{:file.format_error(reason)}")
    end
  end

  def load(other) do
    raise ArgumentError, "expected a graph as a map, {:file, path} or {:json, text}, got: #{inspect(other)}"
  end

  defp parse(text, what) do
    case JSON.decode(text) do
      {:ok, graph} when is_map(graph) -> {:ok, graph}
      {:ok, _other} -> invalid("expected a JSON object with nodes and edges in #{what}")
      {:error, reason} -> invalid("cannot read #{what}: #{reason}")
    end
  end

  defp invalid(text), do: {:error, Error.new(:invalid_graph, text)}
end
