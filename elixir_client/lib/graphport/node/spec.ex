defmodule Graphport.Node.Spec do
  # What `use Graphport.Node` declares, as the map that the engine is told. The engine checks the values; here are the
  # names of options, which are the only thing that Elixir has other words for. Pure. Called when an instance starts.
  @moduledoc false

  alias Graphport.Error
  alias Graphport.Wire.Encoder

  # `hello` travels in one frame.
  @most_bytes 512 * 1024

  @options [:type, :title, :category, :description, :inputs, :outputs, :effect, :version, :timeout]
  @both [:type, :hidden, :description]
  @input_options @both ++ [:required, :default, :min, :max, :choices, :multiple, :external, :setting]
  @output_options @both ++ [:stream]
  @effects [:pure, :seeded, :volatile, :effect]

  @doc "Modules by the name of their type, and what the engine is told of them."
  @spec declare([module]) :: {:ok, %{optional(String.t()) => module}, [map]} | {:error, Error.t()}
  def declare(modules) do
    declared = Enum.map(modules, &{spec!(&1), &1})
    by_type = Map.new(declared, fn {spec, module} -> {spec["type"], module} end)
    for {spec, module} <- declared, by_type[spec["type"]] != module, do: twice!(spec, module, by_type)
    specs = Enum.map(declared, &elem(&1, 0))
    with :ok <- travels(specs), do: {:ok, by_type, specs}
  catch
    {:invalid, text} -> {:error, Error.new(:invalid_nodes, text)}
  end

  defp travels(specs) do
    case Encoder.encode(specs) do
      {:ok, iodata} ->
        size = :erlang.iolist_size(iodata)

        if size <= @most_bytes,
          do: :ok,
          else: invalid("the node types of host_nodes take #{size} bytes; at most #{@most_bytes} travel")

      {:error, error} ->
        invalid("the node types of host_nodes cannot travel: #{error.message}")
    end
  end

  defp twice!(%{"type" => type}, module, by_type) do
    invalid(
      "#{inspect(module)} and #{inspect(by_type[type])} both declare the node type #{inspect(type)}; " <>
        "give one of them another type:"
    )
  end

  defp spec!(module) do
    unless is_atom(module) and Code.ensure_loaded?(module) and
             function_exported?(module, :__graphport_node__, 0),
           do: invalid("host_nodes: #{inspect(module)} is no module that says `use Graphport.Node`")

    unless function_exported?(module, :run, 2), do: invalid("#{inspect(module)} has no run/2")
    options = checked!(module.__graphport_node__(), @options, inspect(module))

    %{
      "type" => options |> Map.get(:type, default_type(module)) |> to_string(),
      "effect" => effect!(Map.get(options, :effect, :effect), module),
      "inputs" => ports!(Map.get(options, :inputs, []), @input_options, "input", module),
      "outputs" => ports!(Map.get(options, :outputs, []), @output_options, "output", module),
      "code" => Base.encode16(module.module_info(:md5))
    }
    |> put("timeout_ms", options[:timeout])
    |> put("version", options[:version])
    |> put("title", options[:title])
    |> put("category", options[:category])
    |> put("description", options[:description])
  end

  defp put(map, _name, nil), do: map
  defp put(map, name, value), do: Map.put(map, name, value)

  defp effect!(effect, _module) when effect in @effects, do: Atom.to_string(effect)

  defp effect!(effect, module) do
    invalid(
      "#{inspect(module)}: effect should be one of #{Enum.map_join(@effects, ", ", &inspect/1)}, " <>
        "got: #{inspect(effect)}"
    )
  end

  defp ports!(ports, allowed, kind, module) when is_list(ports) or (is_map(ports) and not is_struct(ports)),
    do: Enum.map(ports, &port!(&1, allowed, kind, module))

  defp ports!(_ports, _allowed, kind, module),
    do: invalid("#{inspect(module)}: #{kind}s should be a list of names, or of names with options")

  defp port!({name, options}, allowed, kind, module) do
    port = port_name!(name, kind, module)
    options = checked!(options, allowed, "#{inspect(module)}: #{kind} #{port}")

    for {option, value} <- options, into: %{"name" => port} do
      {Atom.to_string(option),
       if(option in [:type, :setting] and value != nil, do: to_string(value), else: value)}
    end
  end

  defp port!(name, _allowed, kind, module), do: %{"name" => port_name!(name, kind, module)}

  defp port_name!(name, _kind, _module) when is_binary(name), do: name
  defp port_name!(name, _kind, _module) when is_atom(name) and name != nil, do: Atom.to_string(name)

  defp port_name!(name, kind, module),
    do: invalid("#{inspect(module)}: the name of an #{kind} should be an atom or text, got: #{inspect(name)}")

  defp checked!(options, allowed, where) do
    unless Keyword.keyword?(options), do: invalid("#{where}: expected a keyword list of options")

    for {name, _value} <- options, name not in allowed do
      invalid(
        "#{where}: unknown option #{inspect(name)}; known are #{Enum.map_join(allowed, ", ", &inspect/1)}"
      )
    end

    Map.new(options)
  end

  # MyApp.WordCount is word-count.
  defp default_type(module) do
    module |> Module.split() |> List.last() |> Macro.underscore() |> String.replace("_", "-")
  rescue
    ArgumentError -> invalid("#{inspect(module)}: a module of such a name needs a type:")
  end

  @spec invalid(String.t()) :: no_return
  defp invalid(text), do: throw({:invalid, text})
end
