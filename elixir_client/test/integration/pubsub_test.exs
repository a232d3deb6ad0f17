defmodule Graphport.Integration.PubSubTest do
  # What a topic hears, with the real engine.
  use Graphport.Case, async: true

  alias Graphport.{Error, Topics}

  @graph %{
    nodes: [
      %{id: "words", type: "slow-words", data: %{text: "one two three"}},
      %{id: "answer", type: "text-output"},
      %{id: "fails", type: "raises"}
    ],
    edges: [%{source: "words", source_handle: "text", target: "answer", target_handle: "text"}]
  }

  test "a topic hears tokens, outputs and errors of whoever demands", %{name: name} do
    topics = Topics.start(name, "graph")
    start_engine(name, pubsub: {Topics, topics}, nodes: ["graphport_test_nodes"])
    session = Graphport.open!(name, @graph, topic: "graph")
    # The second time its text comes from the cache.
    for demand <- [:first, :cached] do
      test = self()
      spawn_link(fn -> send(test, {demand, Graphport.demand(session, "answer"), mailbox()}) end)
      assert_receive {^demand, {:ok, %{"text" => "one two three"}}, []}, 10_000
      assert_receive {:workflow_output, "answer", %{"text" => "one two three"}}, 10_000
      assert Enum.join(for {:workflow_stream, "words", chunk} <- mailbox(), do: chunk) == "one two three "
    end

    {:error, %Error{code: :node_failed}} = Graphport.demand(session, "fails")

    assert_receive {:workflow_error, "fails", %Error{code: :node_failed, exception: "ValueError" <> _}},
                   10_000
  end

  test "outputs in parts are broadcast too", %{name: name} do
    topics = Topics.start(name, "graph")
    start_engine(name, pubsub: {Topics, topics})
    graph = %{nodes: [%{id: "text", type: "text-input"}], edges: []}
    session = Graphport.open!(name, graph, topic: "graph")
    text = String.duplicate("x", 1_000_000)
    Graphport.demand!(session, "text", inputs: %{"text" => %{"text" => text}})
    assert_receive {:workflow_output, "text", %{"text" => ^text}}, 10_000
  end
end
