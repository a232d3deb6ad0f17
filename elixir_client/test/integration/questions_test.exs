defmodule Graphport.Integration.QuestionsTest do
  # plan, why, metrics and trace of a real engine.
  use Graphport.Case, async: true

  alias Graphport.Error

  @graph %{
    "nodes" => [
      %{"id" => "prompt", "type" => "text-input", "data" => %{"text" => "hello"}},
      %{"id" => "answer", "type" => "text-output"}
    ],
    "edges" => [
      %{"source" => "prompt", "source_handle" => "text", "target" => "answer", "target_handle" => "text"}
    ]
  }

  setup %{name: name} do
    start_engine(name)
    {:ok, session: Graphport.open!(name, @graph)}
  end

  test "a plan says what then runs", %{session: session} do
    assert {:ok, %{"counts" => %{"run" => 2, "cached" => 0}, "nodes" => nodes}} =
             Graphport.plan(session, "answer")

    assert Enum.map(nodes, &{&1["node"], &1["state"]}) == [{"prompt", "run"}, {"answer", "run"}]

    {:ok, _outputs} = Graphport.demand(session, "answer")
    assert {:ok, %{"counts" => %{"run" => 0, "cached" => 1}}} = Graphport.plan(session, "answer")

    assert {:ok, %{"counts" => %{"run" => 2}, "nodes" => [_one]}} =
             Graphport.plan(session, "*", inputs: %{"prompt" => %{"text" => "new"}}, limit: 1)

    assert {:error, %Error{code: :unknown_node}} = Graphport.plan(session, "nobody")
    assert mailbox() == []
  end

  test "why says where it began", %{session: session} do
    assert {:ok, %{"since" => nil, "runs" => true}} = Graphport.why(session, "answer")
    {:ok, _outputs} = Graphport.demand(session, "answer")
    assert {:ok, %{"runs" => false, "causes" => []}} = Graphport.why(session, "answer")

    assert {:ok, %{"runs" => true, "causes" => [cause], "text" => text}} =
             Graphport.why(session, "answer", inputs: %{"prompt" => %{"text" => "new"}})

    assert %{"node" => "prompt", "cause" => "input_differs", "port" => "text"} = cause
    assert text =~ "prompt"
  end

  test "metrics of each engine, counted and begun anew", %{name: name, session: session} do
    {:ok, _outputs} = Graphport.demand(session, "answer")
    {:ok, _outputs} = Graphport.demand(session, "answer")
    assert {:ok, [%{"engine" => 0} = metrics]} = Graphport.metrics(name, reset: true)
    assert %{"executions" => 1, "cache_hits" => 1, "cache_misses" => 1} = metrics["types"]["text-output"]
    assert %{"completed" => 2, "failed" => 0} = metrics["demands"]
    assert {:ok, [%{"types" => types, "runs" => []}]} = Graphport.metrics(name)
    assert types == %{}
  end

  test "a trace of a demand, and of the session's last one", %{session: session} do
    assert Graphport.trace(session) == {:ok, nil}
    {:ok, demand} = Graphport.demand_async(session, "answer", trace: true)
    assert_receive {:demand_complete, "answer", _outputs}, 5_000
    {:ok, _outputs} = Graphport.demand(session, "prompt", trace: true)

    assert {:ok, %{"steps" => steps, "state" => "completed"}} = Graphport.trace(demand)
    assert Enum.map(steps, &{&1["node"], &1["state"]}) == [{"prompt", "ran"}, {"answer", "ran"}]
    assert {:ok, %{"node" => "prompt", "steps" => [%{"state" => "cached"}]}} = Graphport.trace(session)
    assert {:ok, %{"traceEvents" => [_ | _]}} = Graphport.trace(demand, format: "chrome")
    assert mailbox() == []
  end

  test "an engine that was replaced is asked anew, and closed sessions are not there", context do
    %{name: name, session: session} = context
    {:ok, _outputs} = Graphport.demand(session, "answer", trace: true)
    System.cmd("kill", ["-9", "#{os_pid(name)}"])
    eventually(fn -> match?({:ok, %{status: :up, engines: [%{restarts: 1}]}}, Graphport.info(name)) end)

    assert {:ok, %{"counts" => %{"run" => 2}}} = Graphport.plan(session, "answer")
    assert {:ok, nil} = Graphport.trace(session)
    Graphport.close(session)
    assert {:error, %Error{code: :unknown_session}} = Graphport.why(session, "answer")
  end

  test "slips are the caller's", %{name: name, session: session} do
    for slip <- [
          fn -> Graphport.plan(session, "answer", limit: 10_001) end,
          fn -> Graphport.plan(session, []) end,
          fn -> Graphport.why(:nobody, "answer") end,
          fn -> Graphport.metrics(name, rest: true) end,
          fn -> Graphport.trace(session, format: "svg") end
        ] do
      assert_raise ArgumentError, slip
    end
  end
end
