defmodule Graphport.Integration.AnswersTest do
  # A person answers a node that waits, with the real engine.
  use Graphport.Case, async: true

  alias Graphport.Error

  @graph %{
    nodes: [
      %{id: "ask", type: "human-input", data: %{prompt: "Send it?"}},
      %{id: "out", type: "text-output"}
    ],
    edges: [%{source: "ask", source_handle: "value", target: "out", target_handle: "text"}]
  }

  setup %{name: name} do
    start_engine(name)
    {:ok, session: Graphport.open!(name, @graph)}
  end

  test "a demand that does not wait fails, and says what is asked", %{session: session} do
    assert {:error, %Error{code: :waiting_for_input, node_id: "ask"} = error} =
             Graphport.demand(session, "out")

    assert error.details == %{"prompt" => "Send it?"}
  end

  test "demands that wait go on with the answer, and another one counts later", %{session: session} do
    for tag <- [:one, :two],
        do: {:ok, _} = Graphport.demand_async(session, "out", wait: true, events: true, tag: tag)

    for tag <- [:one, :two] do
      assert_receive {:graphport, ^tag,
                      {:node_event, "ask", %{"event" => "waiting", "prompt" => "Send it?"}}},
                     10_000
    end

    assert Graphport.answer(session, "ask", "yes") == {:ok, 2}

    for tag <- [:one, :two],
        do: assert_receive({:graphport, ^tag, {:demand_complete, "out", %{"text" => "yes"}}}, 10_000)

    assert Graphport.answer(session, "ask", "yes") == {:ok, 0}
    assert Graphport.demand(session, "out") == {:ok, %{"text" => "yes"}}
    assert Graphport.answer(session, "ask", "no") == {:ok, 0}
    assert Graphport.demand(session, "out") == {:ok, %{"text" => "no"}}

    assert Graphport.demand(session, "out", inputs: %{"ask" => %{"user_response" => "own"}}) ==
             {:ok, %{"text" => "own"}}
  end

  test "an answer outlives its engine", %{name: name, session: session} do
    assert Graphport.answer(session, "ask", "yes") == {:ok, 0}
    signal(os_pid(name), "KILL")
    eventually(fn -> Graphport.demand(session, "out", timeout: 20_000) == {:ok, %{"text" => "yes"}} end)
  end

  test "of answers at the same time one counts, in the engine and in the next one", %{name: name} do
    sessions = for _ <- 1..40, do: Graphport.open!(name, @graph)

    given =
      for session <- sessions do
        1..8
        |> Task.async_stream(&Graphport.answer(session, "ask", "#{&1}"), max_concurrency: 8)
        |> Enum.each(fn {:ok, answer} -> assert answer == {:ok, 0} end)

        Graphport.demand!(session, "out")
      end

    signal(os_pid(name), "KILL")
    eventually(fn -> match?({:ok, _}, Graphport.demand(hd(sessions), "out", timeout: 20_000)) end)
    assert for(session <- sessions, do: Graphport.demand!(session, "out")) == given
  end

  test "edits after an answer count in the engine as in the next one", %{name: name, session: session} do
    assert Graphport.answer(session, "ask", "answered") == {:ok, 0}
    {:ok, _} = Graphport.update(session, {:set, "ask", %{user_response: "edited"}})
    assert Graphport.demand!(session, "out") == %{"text" => "edited"}
    signal(os_pid(name), "KILL")
    eventually(fn -> Graphport.demand(session, "out", timeout: 20_000) == {:ok, %{"text" => "edited"}} end)
  end

  test "what cannot be answered is refused", %{session: session} do
    assert {:error, %Error{code: :unknown_node}} = Graphport.answer(session, "nobody", 1)
    assert {:error, %Error{code: :invalid_input}} = Graphport.answer(session, "out", 1)
    assert {:error, %Error{code: :invalid_input}} = Graphport.answer(session, "ask", nil)
    Graphport.close(session)
    assert {:error, %Error{code: :unknown_session}} = Graphport.answer(session, "ask", 1)
  end
end
