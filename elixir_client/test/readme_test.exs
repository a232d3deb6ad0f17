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
    assert length(blocks("elixir")) == 7
    assert length(blocks("python")) == 3
  end

  # The block starts an instance with no options, so Python must be found as the README says it is.
  test "the first example gives the answer it is meant to give" do
    System.put_env("GRAPHPORT_PYTHON", python())
    System.put_env("PYTHONPATH", Path.expand("../../python", __DIR__))
    [first | _] = blocks("elixir")

    assert {"And the sea?", bindings} = Code.eval_string(first)
    assert %Graphport.Session{} = bindings[:session]
    # The app's own supervisor, which would start it anew.
    {:dictionary, dictionary} = MyApp.Graphs |> Process.whereis() |> Process.info(:dictionary)
    [supervisor | _] = dictionary[:"$ancestors"]
    Supervisor.stop(supervisor)
  after
    System.delete_env("PYTHONPATH")
  end

  @tag :tmp_dir
  test "a LiveView is told as shown", %{name: name, tmp_dir: folder} do
    [_first, _child, _stream, _node, live | _more] = blocks("elixir")

    # What Phoenix.LiveView would import.
    assign = "defp assign(socket, new), do: %{socket | assigns: Map.merge(socket.assigns, Map.new(new))}\n"
    graph = __DIR__ |> Path.join("../examples/answer.json") |> File.read!()
    file = Path.join(folder, "answer.json")
    File.write!(file, String.replace(graph, "smollm2", "no-such-model"))
    live = String.replace(live, "priv/graphs/answer.json", file)
    [{view, _code}] = Code.compile_string("defmodule MyAppWeb.AnswerLive do\n#{assign}#{live}\nend")

    start_supervised!({Phoenix.PubSub, name: MyApp.PubSub})
    start_engine(MyApp.Graphs, pubsub: MyApp.PubSub)
    {:ok, socket} = view.mount(%{}, %{"user" => "#{name}"}, %{assigns: %{}})

    {:noreply, socket} = view.handle_event("ask", %{"question" => "Why?"}, socket)
    assert_receive {:workflow_error, "answer", error} = message, 10_000
    assert {:noreply, %{assigns: %{text: text}}} = view.handle_info(message, socket)
    assert text == error.message
    assert_receive {:graphport, :asked, {:demand_error, "answer", _error}} = message, 10_000
    assert {:noreply, ^socket} = view.handle_info(message, socket)

    {:noreply, socket} = view.handle_info({:workflow_stream, "llm", "The"}, socket)
    {:noreply, socket} = view.handle_info({:workflow_stream, "llm", " sky"}, socket)
    assert socket.assigns.text == "The sky"
    {:noreply, socket} = view.handle_info({:workflow_output, "answer", %{"text" => "Blue"}}, socket)
    assert socket.assigns.text == "Blue"
  end

  test "a handler of telemetry is attached as shown", %{name: name} do
    [_first, _child, _stream, _node, _live, telemetry | _more] = blocks("elixir")
    Code.eval_string(telemetry)

    assert [%{function: handle}] =
             :telemetry.list_handlers([:graphport, :demand, :stop]) |> Enum.filter(&(&1.id == "slow-demands"))

    Graphport.LogHandler.attach(name)
    duration = System.convert_time_unit(2, :second, :native)
    Logger.metadata(graphport: name)
    handle.([:graphport, :demand, :stop], %{duration: duration}, %{node: "a", status: :completed}, nil)
    assert_receive {:log, :warning, "\"a\" took 2000 ms (completed)", _}, 5_000
  after
    :telemetry.detach("slow-demands")
  end

  test "a node in Elixir works as shown", %{name: name} do
    [_first, _child, _stream, node | _more] = blocks("elixir")
    [{module, _code}] = Code.compile_string(node)
    start_engine(name, host_nodes: [module])

    session =
      Graphport.open!(name, %{"nodes" => [%{"id" => "n", "type" => "greeting", "data" => %{"name" => "you"}}]})

    {:ok, _demand} = Graphport.demand_async(session, "n")
    assert_receive {:demand_complete, "n", %{"text" => "Hello, you"}}, 10_000
    assert Enum.join(for {:node_stream, "n", chunk} <- mailbox(), do: chunk) == "Hello, you"
  end

  test "calls through ErlPort work as shown" do
    [_first, _child, _stream, _node, _live, _telemetry, calls] = blocks("elixir")
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
    [source, services, _builder] = blocks("python")
    [_first, child, stream | _more] = blocks("elixir")
    File.write!(Path.join(folder, "my_app_nodes.py"), source <> services)
    {{Graphport, options}, _bindings} = Code.eval_string(child)
    assert options[:nodes] == ["my_app_nodes"]
    assert options[:python_path] == ["priv/python"]

    paths = [folder, Path.expand("../../python", __DIR__)]
    start_supervised!({Graphport, nodes: options[:nodes], name: name, python: python(), python_path: paths})

    graph = %{
      "nodes" => [
        %{"id" => "text", "type" => "text-input", "data" => %{"text" => "one two"}},
        %{"id" => "spell", "type" => "spell"},
        %{"id" => "count", "type" => "word-count"},
        %{"id" => "number", "type" => "number-of", "data" => %{"word" => "two"}}
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

    assert {:ok, %{"value" => 2}} = Graphport.demand(session, "number")
    assert {letters, _bindings} = Code.eval_string(stream, session: session)
    assert letters |> Enum.join() |> String.starts_with?("one")
  end
end
