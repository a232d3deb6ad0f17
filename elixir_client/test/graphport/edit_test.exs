defmodule Graphport.EditTest do
  # Edits as they are given, as they travel, and folded into the graph that a session keeps.
  use ExUnit.Case, async: true

  alias Graphport.Edit
  alias Graphport.Edit.Fold

  doctest Graphport.Edit

  defp item(id, data \\ %{}), do: %{"id" => id, "type" => "text-input", "data" => data}

  defp edge(source, target),
    do: %{"source" => source, "source_handle" => "text", "target" => target, "target_handle" => "in"}

  defp graph, do: %{"nodes" => [item("a"), item("b"), item("c")], "edges" => [edge("a", "b"), edge("b", "c")]}
  defp folded(edits, graph \\ graph()), do: Fold.fold(graph, Edit.to_wire!(edits))
  defp ids(graph), do: Enum.map(graph["nodes"], & &1["id"])

  test "data and settings are merged, and nil takes a key out" do
    assert %{"nodes" => [%{"data" => data} | _], "settings" => %{"s" => 1}} =
             folded([
               {:set, "a", %{x: 1, y: [2]}},
               {:set, "a", %{"x" => nil, "z" => nil}},
               {:settings, %{s: 1, t: 2}},
               {:settings, %{"t" => nil}}
             ])

    assert data == %{"y" => [2]}
  end

  test "a node is put in its place, or behind the others; one that is removed loses its edges" do
    assert ids(folded([{:put, item("d")}, {:put, item("a", %{"x" => 1})}])) == ~w(a b c d)

    again = folded([{:remove, "b"}, {:put, item("b")}])
    assert ids(again) == ~w(a c b)
    assert again["edges"] == []
  end

  test "edges are added behind the others, and removed however many there are" do
    ab = {{"a", "text"}, {"b", "in"}}
    connect = {:connect, elem(ab, 0), elem(ab, 1)}
    disconnect = {:disconnect, elem(ab, 0), elem(ab, 1)}

    assert folded([connect])["edges"] == [edge("a", "b"), edge("b", "c"), edge("a", "b")]
    assert folded([connect, disconnect])["edges"] == [edge("b", "c")]
    assert folded([disconnect, connect])["edges"] == [edge("b", "c"), edge("a", "b")]
    assert folded([connect, {:remove, "c"}, disconnect, connect])["edges"] == [edge("a", "b")]
  end

  test "a word that editors use for a node's type does not change it" do
    assert %{"nodes" => [%{"node_type" => "text-input", "data" => %{"nodeType" => "merge"}} | _]} =
             folded([{:set, "a", %{"nodeType" => "merge"}}])

    assert %{"nodes" => [_, _, _, %{"node_type" => "merge"}]} =
             folded([
               {:put, %{id: "d", type: "custom", data: %{nodeType: "merge"}}},
               {:set, "d", %{"node_type" => "text-input"}}
             ])
  end

  test "only graphs of the own shape are folded" do
    assert Fold.own?(graph())
    assert Fold.own?(%{"nodes" => []})

    for other <- [
          %{},
          %{nodes: []},
          %{"graph" => graph()},
          %{"nodes" => [], "tasks" => []},
          %{"nodes" => [], "groups" => []},
          %{"nodes" => [%{"id" => "a"}]},
          %{"nodes" => [%{id: "a", type: "b"}]},
          %{"nodes" => [Map.put(item("a"), "nodeType", "merge")]},
          %{"nodes" => [item("a", %{"node_type" => "merge"})]},
          %{"nodes" => [item("a", %{x: 1})]},
          %{"nodes" => [], "edges" => [Map.delete(edge("a", "b"), "source_handle")]}
        ] do
      refute Fold.own?(other), inspect(other)
    end
  end

  test "ten thousand edits are folded in one go" do
    edits =
      for n <- 1..5_000, edit <- [{:put, item("n#{n}")}, {:connect, {"n#{n}", "text"}, {"c", "in"}}], do: edit

    folded = folded(edits)
    assert length(folded["nodes"]) == 5_003
    assert length(folded["edges"]) == 5_002
    assert folded(for(n <- 1..5_000, do: {:remove, "n#{n}"}), folded) == Map.put(graph(), "settings", %{})
  end
end
