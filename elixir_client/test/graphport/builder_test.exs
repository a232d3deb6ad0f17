defmodule Graphport.BuilderTest do
  use ExUnit.Case, async: true

  import Graphport.Builder
  doctest Graphport.Builder

  test "nodes, edges and settings keep their order" do
    graph =
      new()
      |> node("b", "text-input", text: "x")
      |> node("a", "merge")
      |> edge({"b", "text"}, {"a", :inputs})
      |> setting(:depth, 3)
      |> node("c", "text-output")
      |> edge({"a", "merged"}, {"c", "text"})
      |> to_graph()

    assert Enum.map(graph["nodes"], & &1["id"]) == ["b", "a", "c"]
    assert Enum.map(graph["edges"], &{&1["source"], &1["target_handle"]}) == [{"b", "inputs"}, {"a", "text"}]
    assert graph["settings"] == %{"depth" => 3}
  end

  test "several edges may lead to one input, from different outputs" do
    graph =
      new()
      |> node("a", "text-input")
      |> node("b", "text-input")
      |> node("m", "merge")
      |> edge({"a", "text"}, {"m", "inputs"})
      |> edge({"b", "text"}, {"m", "inputs"})
      |> to_graph()

    assert length(graph["edges"]) == 2
  end

  test "what is plainly a slip raises where it stands" do
    one = node(new(), "a", "merge")
    joined = one |> node("b", "merge") |> edge({"a", "merged"}, {"b", "inputs"})

    for {call, words} <- [
          {fn -> node(one, "a", "merge") end, "a node \"a\" already"},
          {fn -> node(one, "", "merge") end, "a node's id is a text that is not empty"},
          {fn -> node(one, <<255>>, "merge") end, "a node's id is a text"},
          {fn -> node(one, nil, "merge") end, "got: nil"},
          {fn -> node(one, "b", 5) end, "a node's type is a text"},
          {fn -> node(one, "b", "merge", "data") end, "a keyword list or a map"},
          {fn -> node(one, "b", "merge", [1]) end, "a keyword list or a map"},
          {fn -> node(one, "b", "merge", ~D[2026-01-01]) end, "a keyword list or a map"},
          {fn -> node(one, "b", "merge", %{5 => 1}) end, "an input's name is a text"},
          {fn -> node(one, "b", "merge", text: 1, text: 2) end, "\"text\" is given twice"},
          {fn -> node(one, "b", "merge", %{"text" => 1, text: 2}) end, "\"text\" is given twice"},
          {fn -> edge(one, {"a", "merged"}, {"gone", "text"}) end, "no node \"gone\""},
          {fn -> edge(one, {"gone", "merged"}, {"a", "text"}) end, "no node \"gone\""},
          {fn -> edge(one, {"a", ""}, {"a", "text"}) end, "a port's name is a text"},
          {fn -> edge(one, "a", {"a", "text"}) end, "{node, port}, got: \"a\""},
          {fn -> edge(joined, {"a", "merged"}, {"b", :inputs}) end, "already"},
          {fn -> one |> setting("x", 1) |> setting(:x, 2) end, "a setting \"x\" already"}
        ] do
      error = assert_raise(ArgumentError, call)
      assert error.message =~ words
    end
  end

  test "a graph of a hundred thousand nodes is soon built" do
    graph =
      Enum.reduce(1..100_000, node(new(), "0", "text-output"), fn number, builder ->
        builder |> node("#{number}", "text-output") |> edge({"#{number - 1}", "text"}, {"#{number}", "text"})
      end)
      |> to_graph()

    assert length(graph["edges"]) == 100_000
  end
end
