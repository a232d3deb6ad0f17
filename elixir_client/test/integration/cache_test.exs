defmodule Graphport.Integration.CacheTest do
  # Results that outlive their engine: whoever shares the store finds them, and nothing is run again.
  use Graphport.Case, async: true

  alias Graphport.Error

  @moduletag :tmp_dir

  setup %{tmp_dir: tmp_dir} do
    folder = Path.join(tmp_dir, "#{System.os_time()}")
    File.mkdir_p!(folder)
    {:ok, store: Path.join(folder, "results.db"), count_in: Path.join(folder, "ran")}
  end

  defp start(name, kind, path), do: start_engine(name, options(kind, path))
  defp options(kind, path), do: [nodes: ["graphport_cache_nodes"], cache: [store: {kind, path}]]

  defp open(name, count_in) do
    Graphport.open!(name, %{
      nodes: [
        %{id: "words", type: "counted-words", data: %{text: "one two three", count_in: count_in}},
        %{id: "length", type: "counted-length", data: %{count_in: count_in}},
        %{id: "results", type: "results-in", data: %{path: "set by the demand"}}
      ],
      edges: [%{source: "words", source_handle: "text", target: "length", target_handle: "text"}]
    })
  end

  defp ask(session, node) do
    {:ok, demand} = Graphport.demand_async(session, node, tag: true, timeout: 20_000)
    answer(demand.ref, "")
  end

  defp answer(ref, text) do
    assert_receive {:graphport, ^ref, message}, 20_000

    case message do
      {:node_stream, "words", chunk} -> answer(ref, text <> chunk)
      {:demand_complete, _node, outputs} -> {outputs, text}
    end
  end

  defp ran(count_in), do: count_in |> File.read!() |> String.split()

  defp await_results(session, path, count) do
    eventually(fn ->
      Graphport.demand!(session, "results", inputs: %{"results" => %{"path" => path}}) == %{"value" => count}
    end)
  end

  test "a second instance answers from the first one's file, and its text streams again", context do
    %{name: name, store: store, count_in: count_in} = context
    session = name |> start(:sqlite, store) |> open(count_in)
    assert {%{"length" => 13}, "one two three "} = ask(session, "length")
    await_results(session, store, 2)

    session = :"#{name} again" |> start(:sqlite, store) |> open(count_in)

    assert {%{"length" => 13}, "one two three "} = ask(session, "length")
    assert {%{"text" => "one two three"}, "one two three "} = ask(session, "words")
    assert ran(count_in) == ["words", "length"]
  end

  test "an engine that was killed and came back has what the one before has stored", context do
    %{name: name, store: store, count_in: count_in} = context
    session = name |> start(:sqlite, store) |> open(count_in)
    ask(session, "length")
    await_results(session, store, 2)
    killed = os_pid(name)

    signal(killed, "KILL")
    eventually(fn -> match?(%{status: :up, os_pid: pid} when pid != killed, engine(name)) end)

    assert {%{"length" => 13}, "one two three "} = ask(session, "length")
    assert ran(count_in) == ["words", "length"]
  end

  test "what waits to be written is written when an instance is stopped", context do
    %{name: name, store: store, count_in: count_in} = context
    session = name |> start(:filesystem, store <> "-folder") |> open(count_in)
    ask(session, "length")
    :ok = stop_supervised({Graphport, name})

    session = :"#{name} again" |> start(:filesystem, store <> "-folder") |> open(count_in)

    assert {%{"length" => 13}, "one two three "} = ask(session, "length")
    assert ran(count_in) == ["words", "length"]
  end

  test "a store that cannot be opened fails the start with a sentence", %{name: name, store: store} do
    File.write!(store, String.duplicate("my notes\n", 1_000))
    paths = Enum.map(["../../../python", "../support/nodes"], &Path.expand(&1, __DIR__))
    options = [name: name, python: python(), python_path: paths] ++ options(:sqlite, store)
    Process.flag(:trap_exit, true)

    assert {:error, %Error{code: :store_failed, message: message}} = Graphport.start_link(options)

    assert message =~ "is no SQLite file; delete it, or give another path"
    assert File.read!(store) =~ "my notes"
  end
end
