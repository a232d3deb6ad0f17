defmodule Graphport.Integration.UpdateTest do
  # Edits and watches, with the real engine: what they answer, who sees them, and what is left of them when it dies.
  use Graphport.Case, async: true

  alias Graphport.{Demand, Error, Session, Topics}
  alias Graphport.Instance.SessionServer

  @graph %{
    "nodes" => [
      %{"id" => "a", "type" => "text-input", "data" => %{"text" => "x"}},
      %{"id" => "b", "type" => "text-input", "data" => %{"text" => "y"}},
      %{"id" => "out", "type" => "text-output"}
    ],
    "edges" => [%{"source" => "a", "source_handle" => "text", "target" => "out", "target_handle" => "text"}]
  }
  @every_kind [
    {:put, %{id: "c", type: "text-input", data: %{text: "z"}}},
    {:disconnect, {"a", "text"}, {"out", "text"}},
    {:connect, {"c", "text"}, {"out", "text"}},
    {:remove, "b"},
    {:set, "a", %{text: "new", note: 1}},
    {:settings, %{tone: "dry"}}
  ]

  setup %{name: name} do
    start_engine(name)
    {:ok, session: Graphport.open!(name, @graph)}
  end

  defp kill_engine(name) do
    %{restarts: before, os_pid: os_pid} = engine(name)
    signal(os_pid, "KILL")
    eventually(fn -> match?(%{restarts: now, status: :up} when now > before, engine(name)) end, 20_000)
  end

  test "an update says what is dirty, and demands see it", %{session: session} do
    assert {:ok, %{revision: 2, dirty: ["a", "out"], dirty_count: 2, nodes: 3, sinks: ["b", "out"]}} =
             Graphport.update(session, {:set, "a", %{"text" => "hello"}})

    assert Graphport.demand!(session, "out") == %{"text" => "hello"}
    assert {:ok, %{revision: 3, nodes: 3, sinks: ["a", "out"]}} = Graphport.update(session, @every_kind)
    assert Graphport.demand!(session, "out") == %{"text" => "z"}
  end

  test "bad edits are refused, all or none", %{session: session} do
    edits = [{:set, "a", %{"text" => "new"}}, {:remove, "nope"}, {:connect, {"b", "text"}, {"out", "text"}}]

    assert {:error, %Error{code: :invalid_graph, details: %{"faults" => faults}}} =
             Graphport.update(session, edits)

    assert Enum.map(faults, & &1["code"]) == ["unknown_node", "duplicate_edge"]
    assert Graphport.demand!(session, "out") == %{"text" => "x"}
    assert {:ok, %{revision: 2}} = Graphport.update(session, [])
  end

  test "what is no edit raises", %{session: session} do
    for bad <- [
          :a,
          [:a],
          [{:set, "a"}],
          [{:set, :a, %{}}],
          [{:put, []}],
          [{:connect, "a", "b"}],
          [{:settings, 1}]
        ] do
      assert_raise ArgumentError, fn -> Graphport.update(session, bad) end
    end

    assert_raise ArgumentError, ~r/unknown option/, fn -> Graphport.update(session, [], patience: 1) end

    assert {:error, %Error{code: :unencodable_value}} =
             Graphport.update(session, {:set, "a", %{"text" => self()}})
  end

  test "an engine that is killed has the edits again", %{name: name, session: session} do
    {:ok, %{revision: 2}} = Graphport.update(session, @every_kind)
    {:ok, graph} = Graphport.graph(session)
    kill_engine(name)

    assert Graphport.demand!(session, "out") == %{"text" => "z"}
    assert Graphport.graph(session) == {:ok, graph}
    assert {:ok, %{revision: 3}} = Graphport.update(session, {:set, "c", %{"text" => "again"}})
    kill_engine(name)
    assert {:ok, %{revision: 4, dirty: []}} = Graphport.update(session, {:set, "c", %{"note" => 1}})
    assert Graphport.demand!(session, "out") == %{"text" => "again"}
  end

  test "an update that an engine accepted before it died is in the next one, whoever loads it", %{name: name} do
    pair = start_engine(:"#{name}, of two", engines: 2)
    session = Graphport.open!(pair, @graph)
    {:ok, %{engines: engines}} = Graphport.info(pair)
    %{os_pid: os_pid, index: index} = Enum.find(engines, &(&1.sessions == 1))

    # The session finds, in this order: somebody who asks where it is loaded, the engine's answer, and the engine gone.
    signal(os_pid, "STOP")
    update = Task.async(fn -> Graphport.update(session, {:set, "a", %{"text" => "new"}}) end)
    eventually(fn -> :sys.get_state(session.pid).updates.current != nil end)
    :sys.suspend(session.pid)
    route = Task.async(fn -> SessionServer.route(session, 20_000) end)
    eventually(fn -> Process.info(session.pid, :message_queue_len) == {:message_queue_len, 1} end)
    signal(os_pid, "CONT")
    eventually(fn -> Process.info(session.pid, :message_queue_len) == {:message_queue_len, 2} end)
    signal(os_pid, "KILL")

    eventually(fn ->
      {:ok, %{engines: engines}} = Graphport.info(pair)
      Enum.at(engines, index).os_pid != os_pid
    end)

    :sys.resume(session.pid)
    assert {:ok, %{revision: 2}} = Task.await(update)
    assert {:ok, _route} = Task.await(route, 20_000)
    assert Graphport.demand!(session, "out") == %{"text" => "new"}
  end

  test "a graph as an editor saves it keeps its edits too", %{name: name} do
    graph = %{
      graph: %{
        nodes: [%{id: "text-input-1", data: %{text: "x"}}, %{id: "text-output-1", data: %{}}],
        edges: [
          %{source: "text-input-1", sourceHandle: "text", target: "text-output-1", targetHandle: "text"}
        ]
      }
    }

    session = Graphport.open!(name, graph)

    {:ok, %{revision: 2}} =
      Graphport.update(session, {:put, %{id: "note", type: "text-input", data: %{text: "n"}}})

    {:ok, %{revision: 3}} = Graphport.update(session, {:set, "text-input-1", %{text: "y", nodeType: "merge"}})
    kill_engine(name)

    assert Graphport.demand!(session, "*") == %{
             "text-output-1" => %{"text" => "y"},
             "note" => %{"text" => "n"}
           }
  end

  test "long updates travel in parts", %{name: name, session: session} do
    text = String.duplicate("x", 1_000_000)
    assert {:ok, %{revision: 2}} = Graphport.update(session, {:set, "a", %{"text" => text}})
    kill_engine(name)
    assert Graphport.demand!(session, "out") == %{"text" => text}
  end

  test "an update of a session that is closed, or unknown", %{session: session} do
    Graphport.close(session)
    assert {:error, %Error{code: :unknown_session}} = Graphport.update(session, [])
    assert {:error, %Error{code: :unknown_session}} = Graphport.watch(%Session{session | id: 0}, "out")
  end

  test "many callers' updates are applied one after the other", %{name: name, session: session} do
    1..20
    |> Task.async_stream(fn n -> Graphport.update(session, {:put, %{id: "n#{n}", type: "text-input"}}) end)
    |> Enum.map(fn {:ok, {:ok, %{revision: revision}}} -> revision end)
    |> Enum.sort()
    |> then(&assert &1 == Enum.to_list(2..21))

    {:ok, %{"nodes" => nodes}} = Graphport.graph(session)
    kill_engine(name)
    assert {:ok, %{"nodes" => ^nodes}} = Graphport.graph(session)
  end

  test "a watch tells at once, after edits, of failures, and ends once", %{session: session} do
    {:ok, %Demand{} = watch} = Graphport.watch(session, "out")
    assert_receive {:node_output, "out", %{"text" => "x"}}, 5_000

    {:ok, _} = Graphport.update(session, {:set, "b", %{"text" => "beside"}})
    {:ok, _} = Graphport.update(session, {:set, "a", %{"text" => "new"}})
    assert_receive {:node_output, "out", %{"text" => "new"}}, 5_000

    {:ok, _} = Graphport.update(session, {:remove, "out"})
    assert_receive {:node_failed, "out", %Error{code: :unknown_node}}, 5_000

    :ok = Graphport.cancel(watch)
    assert_receive {:demand_error, "out", %Error{code: :cancelled}}, 5_000
    {:ok, _} = Graphport.update(session, {:put, %{id: "out", type: "text-output"}})
    assert {:ok, _} = Graphport.demand(session, "out")
    assert mailbox() == []
  end

  test "a watch with a tag, inputs, events and a deadline", %{session: session} do
    options = [tag: :mine, inputs: %{"a" => %{"text" => "given"}}, events: true, timeout: 1_000]
    {:ok, _} = Graphport.watch(session, ["out", "b"], options)

    assert_receive {:graphport, :mine, {:node_output, ["out", "b"], outputs}}, 5_000
    assert outputs == %{"out" => %{"text" => "given"}, "b" => %{"text" => "y"}}
    {:ok, _} = Graphport.update(session, {:set, "b", %{"text" => "z"}})
    assert_receive {:graphport, :mine, {:node_output, ["out", "b"], %{"b" => %{"text" => "z"}}}}, 5_000
    assert_receive {:graphport, :mine, {:demand_error, ["out", "b"], %Error{code: :deadline_exceeded}}}, 5_000

    assert 2 ==
             Enum.count(
               mailbox(),
               &match?({:graphport, :mine, {:node_event, "", %{"event" => "planned"}}}, &1)
             )
  end

  test "a watch ends with its engine, and can be made anew", %{name: name, session: session} do
    {:ok, _} = Graphport.watch(session, "out")
    assert_receive {:node_output, "out", %{"text" => "x"}}, 5_000
    {:ok, _} = Graphport.update(session, {:set, "a", %{"text" => "edited"}})
    assert_receive {:node_output, "out", %{"text" => "edited"}}, 5_000

    kill_engine(name)
    assert_receive {:demand_error, "out", %Error{code: :engine_down}}, 5_000

    {:ok, _} = Graphport.watch(session, "out")
    assert_receive {:node_output, "out", %{"text" => "edited"}}, 10_000
  end

  test "a watch ends with its receiver and with its session", %{name: name, session: session} do
    receiver = spawn(fn -> receive(do: (:stop -> :ok)) end)
    {:ok, _} = Graphport.watch(session, "out", to: receiver)
    {:ok, _} = Graphport.watch(session, "out")
    assert_receive {:node_output, "out", _}, 5_000
    send(receiver, :stop)
    eventually(fn -> engine(name).open_demands == 1 end)

    Graphport.close(session)
    assert_receive {:demand_error, "out", %Error{code: :cancelled}}, 5_000
  end

  test "a topic hears what a watch tells", %{name: name} do
    topics = Topics.start(name, "edits")
    session = Graphport.open!(name, @graph, topic: "edits", pubsub: {Topics, topics})
    {:ok, _} = Graphport.watch(session, "out")
    assert_receive {:workflow_output, "out", %{"text" => "x"}}, 5_000
    {:ok, _} = Graphport.update(session, {:set, "a", %{"text" => "new"}})
    assert_receive {:workflow_output, "out", %{"text" => "new"}}, 5_000
    {:ok, _} = Graphport.update(session, {:remove, "out"})
    assert_receive {:workflow_error, "out", %Error{code: :unknown_node}}, 5_000
  end

  test "a burst of edits gives few outputs, the last one among them", %{session: session} do
    {:ok, _} = Graphport.watch(session, "out")
    for n <- 1..300, do: {:ok, _} = Graphport.update(session, {:set, "a", %{"text" => "#{n}"}})
    assert_receive {:node_output, "out", %{"text" => "300"}}, 5_000
    assert length(mailbox()) < 300
  end
end
