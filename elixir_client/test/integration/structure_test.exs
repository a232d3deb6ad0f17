defmodule Graphport.Integration.StructureTest do
  # Graphs within graphs, lists, loops, error edges and where outputs come from, with the real engine.
  use Graphport.Case, async: true

  alias Graphport.Error

  setup %{name: name} do
    start_engine(name, nodes: ["graphport_test_nodes"])
    :ok
  end

  defp edge(source, out, target, into),
    do: %{source: source, source_handle: out, target: target, target_handle: into}

  defp node(id, type, data \\ %{}), do: %{id: id, type: type, data: data}

  # Gives what comes in as `item`, word by word.
  defp words do
    %{
      nodes: [node("item", "graph-input"), node("say", "slow-words"), node("said", "graph-output")],
      edges: [edge("item", "value", "say", "text"), edge("say", "text", "said", "value")]
    }
  end

  test "a graph is a node, and streams under its path", %{name: name} do
    session =
      Graphport.open!(name, %{
        nodes: [node("outer", "graph", %{graph: "words", item: "to be or"})],
        edges: [],
        graphs: %{words: words()}
      })

    {:ok, _demand} = Graphport.demand_async(session, "outer", stream: :all)
    assert_receive {:demand_complete, "outer", %{"said" => "to be or"}}, 5_000
    assert Enum.join(for {:node_stream, "outer/say", {"text", chunk}} <- mailbox(), do: chunk) == "to be or "
  end

  test "a graph for each item of a list", %{name: name} do
    graph = %{nodes: [node("each", "map", %{graph: words(), items: ["a b", "c"]})], edges: []}
    session = Graphport.open!(name, graph)

    assert {:ok, %{"said" => ["a b", "c"]}} = Graphport.demand(session, "each")
    assert {:ok, %{"said" => []}} = Graphport.demand(session, "each", inputs: %{"each" => %{"items" => []}})
  end

  test "the error of an inner node has its path, and goes over an error edge", %{name: name} do
    inner = %{
      nodes: [node("bad", "raises", %{text: "no"}), node("out", "graph-output")],
      edges: [edge("bad", "value", "out", "value")]
    }

    session =
      Graphport.open!(name, %{
        nodes: [node("outer", "graph", %{graph: inner}), node("told", "same"), node("ok", "same")],
        edges: [edge("outer", "[error]", "told", "value"), edge("outer", "out", "ok", "value")]
      })

    assert {:error, %Error{code: :node_failed, node_id: "outer/bad", exception: "ValueError"}} =
             Graphport.demand(session, "outer")

    assert {:ok, %{"value" => error}} = Graphport.demand(session, "told")
    assert %{"code" => "node_failed", "node_id" => "outer/bad", "exception" => "ValueError"} = error
    assert Graphport.demand(session, "ok") == {:ok, %{}}
  end

  test "graphs that hold each other are refused, with the way", %{name: name} do
    hold = fn name -> %{nodes: [node("n", "graph", %{graph: name})], edges: []} end
    graph = Map.put(hold.("a"), :graphs, %{a: hold.("b"), b: hold.("a")})

    assert {:error, %Error{code: :invalid_graph, details: %{"faults" => [fault]}}} =
             Graphport.open(name, graph)

    assert %{"code" => "cycle", "node" => "n", "message" => message} = fault
    assert message =~ "'a' → 'b' → 'a'"
  end

  test "where outputs come from, with what the caller brought along", %{name: name} do
    graph = %{
      nodes: [node("a", "text-input", %{text: "x"}), node("b", "same")],
      edges: [edge("a", "text", "b", "value")]
    }

    session = Graphport.open!(name, graph)

    {:ok, _demand} = Graphport.demand_async(session, "b", provenance: %{user: 7})
    assert_receive {:demand_complete, "b", %{"value" => "x"}}, 5_000

    assert [{:node_event, "", %{"event" => "provenance", "nodes" => nodes, "caller" => %{"user" => 7}}}] =
             mailbox()

    assert %{"type" => "text-input", "inputs" => %{"text" => %{"from" => "data"}}, "key" => key} = nodes["a"]
    assert %{"from" => "edge", "node" => "a", "port" => "text", "key" => ^key} = nodes["b"]["inputs"]["value"]
  end

  test "all sinks at once", %{name: name} do
    nodes = for id <- ~w(a b), do: node(id, "text-input", %{text: id})
    session = Graphport.open!(name, %{nodes: nodes, edges: []})

    assert {:ok, %{"a" => %{"text" => "a"}, "b" => %{"text" => "b"}}} = Graphport.execute(session)
  end
end
