defmodule Graphport.Integration.ModelTest do
  # The demo's own graph with the small real model, which `graphport models install smollm2` has fetched.
  use Graphport.Case

  @moduletag :model
  @graph Path.expand("../../examples/answer.json", __DIR__)

  test "tokens of a real model stream to the caller, then the answer", %{name: name} do
    start_engine(name)
    {:ok, session} = Graphport.open(name, {:file, @graph})
    {:ok, _demand} = Graphport.demand_async(session, "answer")

    assert_receive {:demand_complete, "answer", %{"text" => text}}, 60_000
    chunks = for {:node_stream, "llm", chunk} <- mailbox(), do: chunk
    assert length(chunks) > 5
    assert Enum.join(chunks) == text

    # The same again comes from the cache, with its text streamed again.
    {:ok, _demand} = Graphport.demand_async(session, "answer")
    assert_receive {:demand_complete, "answer", %{"text" => ^text}}, 5_000
    assert Enum.join(for {:node_stream, "llm", chunk} <- mailbox(), do: chunk) == text
  end

  test "a cancel ends the generation and the slot serves the next demand", %{name: name} do
    start_engine(name)
    {:ok, session} = Graphport.open(name, {:file, @graph})
    long = %{"llm" => %{"max_tokens" => 1_500}, "prompt" => %{"text" => "Count from one to a thousand."}}
    {:ok, demand} = Graphport.demand_async(session, "answer", inputs: long)
    assert_receive {:node_stream, "llm", _chunk}, 60_000
    :ok = Graphport.cancel(demand)
    assert_receive {:demand_error, "answer", %Graphport.Error{code: :cancelled}}, 5_000

    assert {:ok, %{"text" => text}} =
             Graphport.demand(session, "answer", inputs: %{"llm" => %{"max_tokens" => 3}})

    assert text != ""
  end

  test "a stream reads tokens at its own pace, and stops the generation when it has enough", %{name: name} do
    start_engine(name)
    {:ok, session} = Graphport.open(name, {:file, @graph})
    long = %{"llm" => %{"max_tokens" => 1_500}, "prompt" => %{"text" => "Count from one to a thousand."}}
    tokens = session |> Graphport.stream("answer", inputs: long, window: 2) |> Enum.take(5)
    assert length(tokens) == 5
    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
    assert {:messages, []} = Process.info(self(), :messages)

    stream = Graphport.stream(session, "answer", elements: :messages, window: 1)
    messages = Enum.to_list(stream)
    assert {:demand_complete, "answer", %{"text" => text}} = List.last(messages)
    assert Enum.join(for {:node_stream, "llm", chunk} <- messages, do: chunk) == text
  end
end
