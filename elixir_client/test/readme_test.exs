defmodule Graphport.ReadmeTest do
  # The project's README is run: its Elixir as it stands there, its Python as the user's module.
  use Graphport.Case

  alias Graphport.Wire.{Decoder, Encoder}

  @readme Path.expand("../../README.md", __DIR__)
  @external_resource @readme

  defp blocks(language) do
    ~r/^```#{language}\n(.*?)^```$/ms
    |> Regex.scan(File.read!(@readme), capture: :all_but_first)
    |> List.flatten()
  end

  test "the README has the blocks that are run here" do
    assert length(blocks("elixir")) == 4
    assert length(blocks("python")) == 1
  end

  # The block starts an instance with no options, so Python must be found as the README says it is.
  test "the first example gives the answer it is meant to give" do
    System.put_env("GRAPHPORT_PYTHON", python())
    System.put_env("PYTHONPATH", Path.expand("../../python", __DIR__))
    [first | _] = blocks("elixir")

    assert {"And the sea?", bindings} = Code.eval_string(first)
    assert %Graphport.Session{} = bindings[:session]
    Supervisor.stop(MyApp.Graphs)
  after
    System.delete_env("PYTHONPATH")
  end

  test "calls through ErlPort work as shown" do
    [_first, _child, _stream, calls] = blocks("elixir")
    paths = [to_charlist(Path.expand("../../python", __DIR__))]
    nodes = [%{"id" => "answer", "type" => "text-output", "data" => %{"text" => "Rayleigh"}}]

    bindings = [
      python_options: [python: to_charlist(python()), python_path: paths],
      graph: %{"nodes" => nodes, "edges" => []},
      pack: &(&1 |> Encoder.encode!() |> IO.iodata_to_binary()),
      unpack: fn packed -> with({:ok, value} <- Decoder.decode(packed), do: value) end
    ]

    assert {%{"text" => "Rayleigh"}, _bindings} = Code.eval_string(calls, bindings)
  end

  @tag :tmp_dir
  test "nodes of one's own work as shown", %{tmp_dir: folder, name: name} do
    [source] = blocks("python")
    [_first, child, stream, _calls] = blocks("elixir")
    File.write!(Path.join(folder, "my_app_nodes.py"), source)
    {{Graphport, options}, _bindings} = Code.eval_string(child)
    assert options[:nodes] == ["my_app_nodes"]
    assert options[:python_path] == ["priv/python"]

    paths = [folder, Path.expand("../../python", __DIR__)]
    start_supervised!({Graphport, nodes: options[:nodes], name: name, python: python(), python_path: paths})

    graph = %{
      "nodes" => [
        %{"id" => "text", "type" => "text-input", "data" => %{"text" => "one two"}},
        %{"id" => "spell", "type" => "spell"},
        %{"id" => "count", "type" => "word-count"}
      ],
      "edges" => [
        %{"source" => "text", "source_handle" => "text", "target" => "spell", "target_handle" => "text"},
        %{"source" => "spell", "source_handle" => "text", "target" => "count", "target_handle" => "text"}
      ]
    }

    {:ok, session} = Graphport.open(name, graph)
    {:ok, _demand} = Graphport.demand_async(session, "count")
    assert_receive {:demand_complete, "count", %{"value" => 2}}, 5_000
    chunks = for {:node_stream, "spell", chunk} <- mailbox(), do: chunk
    assert Enum.join(chunks) == "one two"

    assert {letters, _bindings} = Code.eval_string(stream, session: session)
    assert letters |> Enum.join() |> String.starts_with?("one")
  end
end
