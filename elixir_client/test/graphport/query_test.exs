defmodule Graphport.QueryTest do
  # What is asked of the engine itself, and what never stays behind.
  use Graphport.Case, async: true

  alias Graphport.Error

  setup %{name: name} do
    start_peer(name)
    :ok
  end

  test "all node types, or one", %{name: name} do
    assert Graphport.nodes(name) == {:ok, [%{"what" => "nodes", "args" => %{}}]}

    assert Graphport.nodes(name, type: "merge") ==
             {:ok, [%{"what" => "nodes", "args" => %{"type" => "merge"}}]}

    assert mailbox() == []
  end

  test "a type that is not there", %{name: name} do
    assert {:error, %Error{code: :unknown_type}} = Graphport.nodes(name, type: "nobody")
    assert {:error, %Error{code: :unencodable_value}} = Graphport.nodes(name, type: <<255>>)
  end

  test "an engine that does not answer", %{name: name} do
    assert {:error, %Error{code: :deadline_exceeded}} = Graphport.nodes(name, type: "silent", timeout: 30)
    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
    assert mailbox() == []
    assert Process.info(self(), :monitors) == {:monitors, []}
  end

  test "an engine that dies, and an instance that stops, meanwhile", %{name: name} do
    {:ok, session} = Graphport.open(name, %{})

    for end_it <- [
          fn -> Graphport.demand_async(session, "die") end,
          fn -> stop_supervised({Graphport, name}) end
        ] do
      asking = Task.async(fn -> Graphport.nodes(name, type: "silent", timeout: :infinity) end)
      eventually(fn -> match?({:ok, %{open_demands: 1}}, Graphport.info(name)) end)
      {:ok, _result} = ensure_ok(end_it.())
      assert {:error, %Error{code: code}} = Task.await(asking)
      assert code in [:engine_down, :shutting_down]
      eventually(fn -> not match?({:ok, %{status: :down}}, Graphport.info(name)) end)
    end

    assert {:error, %Error{code: :unknown_instance}} = Graphport.nodes(name)
  end

  describe "about a session" do
    setup %{name: name} do
      {:ok, session} = Graphport.open(name, %{})
      {:ok, session: session}
    end

    test "it goes to the engine that has the session, by the session's number there", %{session: session} do
      assert {:ok, [%{"what" => "graph", "args" => %{"format" => "json", "session" => number}}]} =
               Graphport.graph(session)

      assert is_integer(number)

      assert {:ok, [%{"args" => %{"format" => "dependency-json", "session" => ^number}}]} =
               Graphport.graph(session, format: "dependency-json")

      assert {:ok, [%{"what" => "dot", "args" => %{"timings" => timings}}]} = Graphport.dot(session)
      assert timings == %{}
      assert mailbox() == []
    end

    test "events become what a run made of each node, the last word counting", %{session: session} do
      events = [
        {"", %{"event" => "planned", "nodes" => 3}},
        {"a", %{"event" => "started"}},
        {"a", %{"event" => "progress", "fraction" => 0.5, "text" => nil}},
        {"b", %{"event" => "cached"}},
        {"a", %{"event" => "completed", "us" => 31}},
        {"c", %{"event" => "started"}},
        {"d", %{"event" => "failed", "code" => "node_failed"}}
      ]

      assert {:ok, [%{"what" => "mermaid", "args" => %{"timings" => timings}}]} =
               Graphport.mermaid(session, events: events)

      assert timings == %{
               "a" => %{"state" => "completed", "us" => 31},
               "b" => %{"state" => "cached", "us" => nil},
               "c" => %{"state" => "running"},
               "d" => %{"state" => "failed", "us" => nil}
             }
    end

    test "a session that is closed, or loaded anew after its engine died", %{name: name, session: session} do
      {:ok, [%{"args" => %{"session" => before}}]} = Graphport.graph(session)
      {:ok, _demand} = Graphport.demand_async(session, "die")
      assert_receive {:demand_error, "die", %Error{code: :engine_down}}, 5_000

      assert {:ok, [%{"args" => %{"session" => later}}]} = Graphport.graph(session)
      assert later != before

      :ok = Graphport.close(session)
      assert {:error, %Error{code: :unknown_session}} = Graphport.mermaid(session)
      :ok = stop_supervised({Graphport, name})
      assert {:error, %Error{code: :unknown_instance}} = Graphport.dot(session)
    end

    test "wrong options and what is no session raise in the caller", %{session: session} do
      for call <- [
            fn -> Graphport.graph(session, format: "yaml") end,
            fn -> Graphport.graph(session, events: []) end,
            fn -> Graphport.mermaid(session, events: [%{}]) end,
            fn -> Graphport.mermaid(session, events: [{:a, %{}}]) end,
            fn -> Graphport.dot(session, timeout: -1) end,
            fn -> Graphport.dot("session") end
          ] do
        assert_raise ArgumentError, call
      end
    end
  end

  defp ensure_ok(:ok), do: {:ok, nil}
  defp ensure_ok({:ok, value}), do: {:ok, value}
end
