defmodule Graphport.Integration.HostNodesTest do
  # Nodes of the app, called by the real engine.
  use Graphport.Case, async: true

  alias Graphport.{Error, HostNodes, Instance}
  alias Graphport.Host.Calling
  alias Graphport.Port.Credit

  @moduletag timeout: 60_000

  setup context do
    # Nodes tell the test by its name.
    to = :"host_nodes_#{System.unique_integer([:positive])}"
    Process.register(self(), to)
    options = Map.get(context, :options, [])
    start_engine(context.name, [host_nodes: HostNodes.all(), nodes: ["graphport_test_nodes"]] ++ options)
    {:ok, to: Atom.to_string(to)}
  end

  defp graph(nodes, edges \\ []) do
    %{
      nodes: for({id, type, data} <- nodes, do: %{id: id, type: type, data: data}),
      edges:
        for {{source, out}, {target, port}} <- edges do
          %{source: source, source_handle: out, target: target, target_handle: port}
        end
    }
  end

  defp one(name, type, data), do: Graphport.open!(name, graph([{"n", type, data}]))

  defp tasks(name) do
    Task.Supervisor.children(Instance.process_name(name, :host_tasks))
  end

  describe "a node of the app" do
    test "runs between nodes of the engine", %{name: name} do
      nodes = [{"in", "text-input", %{text: "hi"}}, {"up", "upcase", %{}}, {"out", "text-output", %{}}]
      edges = [{{"in", "text"}, {"up", "text"}}, {{"up", "text"}, {"out", "text"}}]
      session = Graphport.open!(name, graph(nodes, edges))

      assert Graphport.demand(session, "out") == {:ok, %{"text" => "HI"}}

      assert Graphport.demand(session, "out", inputs: %{"in" => %{"text" => "you"}}) ==
               {:ok, %{"text" => "YOU"}}
    end

    test "is listed, and its graphs are checked, as any other", %{name: name} do
      assert {:ok, [counted]} = Graphport.nodes(name, type: "counted")
      assert %{"title" => "Counted", "category" => "test", "version" => "2", "effect" => "pure"} = counted
      assert [%{"name" => "to", "type" => "string"}, %{"name" => "x", "type" => "any"}] = counted["inputs"]
      assert counted["execution"] == "host"
      assert {:ok, all} = Graphport.nodes(name)
      assert Enum.count(all, &(&1["execution"] == "host")) == length(HostNodes.all())

      nodes = [{"up", "upcase", %{}}, {"flag", "boolean-input", %{value: true}}]
      edges = [{{"flag", "value"}, {"up", "txt"}}]
      assert {:error, %Error{code: :invalid_graph} = error} = Graphport.open(name, graph(nodes, edges))

      assert Enum.sort(for fault <- error.details["faults"], do: fault["code"]) ==
               ~w(dangling_edge missing_input)
    end

    test "of effect runs once for each demand, a pure one once", %{name: name, to: to} do
      session = one(name, "counted", %{"to" => to, "x" => 1})
      assert {:ok, %{"value" => 1}} = Graphport.demand(session, "n")
      assert {:ok, %{"value" => 1}} = Graphport.demand(session, "n")
      assert {:ok, %{"value" => 2}} = Graphport.demand(session, "n", inputs: %{"n" => %{"x" => 2}})
      assert for({:ran, "n", x} <- mailbox(), do: x) == [1, 2]
    end

    test "is shared by demands at the same time, and ends with the last of them", %{name: name, to: to} do
      session = one(name, "waits", %{"to" => to})
      {:ok, first} = Graphport.demand_async(session, "n", tag: :first)
      assert_receive {:waits, pid, nil, context}, 10_000
      {:ok, second} = Graphport.demand_async(session, "n", tag: :second, events: true)
      assert_receive {:graphport, :second, {:node_event, "n", %{"event" => "started"}}}, 10_000
      assert {:ok, _all} = Graphport.nodes(name)
      assert context.demand == first.ref
      monitor = Process.monitor(pid)

      Graphport.cancel(first)
      assert_receive {:graphport, :first, {:demand_error, "n", %Error{code: :cancelled}}}, 10_000
      assert {:ok, _all} = Graphport.nodes(name)
      assert Process.alive?(pid)

      Graphport.cancel(second)
      assert_receive {:graphport, :second, {:demand_error, "n", %Error{code: :cancelled}}}, 10_000
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 10_000
      refute_received {:waits, _pid, _x, _context}
      assert Graphport.Node.cancelled?(context)
    end

    test "takes the place of a core node", %{name: name} do
      ours = start_engine(:"#{name} ours", host_nodes: [HostNodes.TextOutput])
      session = one(ours, "text-output", %{"text" => "x"})
      assert Graphport.demand(session, "n") == {:ok, %{"text" => "ours: x"}}
    end
  end

  describe "what a node of the app streams" do
    test "comes in order, and again from the cache", %{name: name} do
      session = one(name, "letters", %{"text" => "hello"})
      assert session |> Graphport.stream("n") |> Enum.join() == "hello"
      assert session |> Graphport.stream("n") |> Enum.join() == "hello"
      {:ok, _demand} = Graphport.demand_async(session, "n", events: true)
      assert_receive {:demand_complete, "n", %{"text" => "hello"}}, 10_000
      assert [%{"event" => "cached"}] = for({:node_event, "n", event} <- mailbox(), do: event)
    end

    test "waits for a consumer that does not read", %{name: name, to: to} do
      session = one(name, "numbers", %{"to" => to, "count" => 500})

      consumer =
        spawn_link(fn ->
          session
          |> Graphport.stream("n", window: 1)
          |> Enum.each(fn %{"number" => number} ->
            HostNodes.tell(to, {:read, number})
            if number == 1, do: receive(do: (:read_on -> :ok))
          end)

          HostNodes.tell(to, :read_all)
        end)

      assert_receive {:begun, pid}, 10_000
      assert_receive {:read, 1}, 10_000

      # What the engine keeps of a demand, and what may be on its way.
      eventually(fn -> Process.info(pid, :current_function) == {:current_function, {Calling, :await, 2}} end)
      assert {:ok, _all} = Graphport.nodes(name)
      sent = length(for {:sent, number} <- mailbox(), do: number)
      assert sent in 32..100

      send(consumer, :read_on)
      assert_receive :read_all, 20_000
      assert Enum.count(mailbox(), &match?({:read, _number}, &1)) == 499
    end

    test "tells how far it is", %{name: name} do
      session = one(name, "letters", %{"text" => "ab"})
      {:ok, _demand} = Graphport.demand_async(session, "n", events: true, stream: false)
      assert_receive {:demand_complete, "n", _outputs}, 10_000

      told = for {:node_event, "n", %{"event" => "progress"} = event} <- mailbox(), do: event
      assert %{"fraction" => 1.0, "text" => "b"} = List.last(told)
    end

    test "may be long, as may what it is given and gives", %{name: name} do
      value = %{"text" => String.duplicate("long ", 200_000), "list" => Enum.to_list(1..50_000)}
      session = one(name, "big", %{})
      {:ok, _demand} = Graphport.demand_async(session, "n", inputs: %{"n" => %{"value" => value}})
      assert_receive {:node_stream, "n", ^value}, 30_000
      assert_receive {:demand_complete, "n", %{"value" => ^value}}, 30_000
      assert_credit_comes_back(name)
    end
  end

  describe "a node of the app that fails" do
    test "is an error with a code, and tells no inputs", %{name: name} do
      session = one(name, "fails", %{"secret" => "hush-hush"})

      expected = %{
        "raise" => {:host_node_failed, "RuntimeError", "raised RuntimeError: sorry"},
        "argument" => {:host_node_failed, "ArgumentError", "raised ArgumentError: no such thing"},
        "match" => {:host_node_failed, "MatchError", "raised MatchError"},
        "clause" => {:host_node_failed, "FunctionClauseError", "only_numbers/1"},
        "key" => {:host_node_failed, "KeyError", "raised KeyError"},
        "throw" => {:host_node_failed, nil, "threw"},
        "exit" => {:host_node_failed, nil, "exited: :enough"},
        "call" => {:host_node_failed, nil, "exited: :noproc in GenServer.call/3"},
        "killed" => {:host_node_failed, nil, "lost its process"},
        "quit" => {:host_node_failed, nil, "lost its process: :normal"},
        "reason" => {:host_node_failed, nil, "failed: :not_today"},
        "text" => {:host_node_failed, nil, "failed: not today"},
        "exception" => {:host_node_failed, "RuntimeError", "failed with RuntimeError: not today"},
        "code" => {:backend_unavailable, nil, "later"},
        "raised code" => {:invalid_input, nil, "too old"},
        "nothing" => {:host_node_failed, nil, "returned neither"},
        "no map" => {:host_node_failed, nil, "returned neither"},
        "more" => {:undeclared_output, nil, "more"},
        "less" => {:missing_output, nil, "value"},
        "pid" => {:unencodable_value, nil, ""},
        "stream" => {:undeclared_output, nil, "streams to 'value'"},
        "chunk" => {:unencodable_value, nil, ""}
      }

      for {how, {code, exception, text}} <- expected do
        assert {:error, error} =
                 Graphport.demand(session, "n", inputs: %{"n" => %{"how" => how}}, timeout: 20_000)

        assert {how, error.code, error.exception, error.node_id} == {how, code, exception, "n"}
        assert error.message =~ text
        refute Exception.message(error) =~ "hush"
        refute inspect(error) =~ "hush"

        if exception in ["RuntimeError", "FunctionClauseError"] and how != "exception",
          do: assert(error.traceback =~ "host_nodes.ex")
      end

      assert {:error, error} = Graphport.demand(session, "n", inputs: %{"n" => %{"how" => "code"}})
      assert {error.retry_after_ms, error.details} == {5, %{"a" => 1}}
      eventually(fn -> tasks(name) == [] end)
      assert_credit_comes_back(name)
    end
  end

  describe "a run" do
    test "is killed when its time is up, even if it traps exits", %{name: name, to: to} do
      hasty = one(name, "hasty", %{"to" => to})
      assert {:error, %Error{code: :deadline_exceeded, node_id: "n"}} = Graphport.demand(hasty, "n")

      stubborn = one(name, "stubborn", %{"to" => to})
      assert {:error, %Error{code: :deadline_exceeded}} = Graphport.demand(stubborn, "n", timeout: 500)
      eventually(fn -> tasks(name) == [] end)
    end

    test "is killed with its caller, its session and its instance", %{name: name, to: to} do
      session = one(name, "stubborn", %{"to" => to})
      caller = spawn(fn -> Graphport.demand(session, "n") end)
      assert_receive {:waits, first}, 10_000
      Process.exit(caller, :kill)
      assert_ends(first)

      {:ok, _demand} = Graphport.demand_async(session, "n")
      assert_receive {:waits, second}, 10_000
      Graphport.close(session)
      assert_ends(second)

      session = one(name, "stubborn", %{"to" => to})
      {:ok, _demand} = Graphport.demand_async(session, "n")
      assert_receive {:waits, third}, 10_000
      monitor = Process.monitor(third)
      :ok = stop_supervised({Graphport, name})
      assert_receive {:DOWN, ^monitor, :process, ^third, _reason}, 10_000
    end

    for victim <- [:engine, :owner, :dispatcher, :tasks, :run] do
      test "leaves nothing behind where the #{victim} is killed", %{name: name, to: to} do
        session = Graphport.open!(name, graph([{"n", "stubborn", %{"to" => to}}]), owner: :none)
        {:ok, _demand} = Graphport.demand_async(session, "n")
        assert_receive {:waits, pid}, 10_000
        monitor = Process.monitor(pid)

        case unquote(victim) do
          :engine -> signal(os_pid(name), "KILL")
          :owner -> Process.exit(owner(name), :kill)
          :dispatcher -> kill(name, :host)
          :tasks -> kill(name, :host_tasks)
          :run -> Process.exit(pid, :kill)
        end

        assert_receive {:demand_error, "n", error}, 20_000

        codes = %{
          engine: :engine_down,
          owner: :engine_down,
          dispatcher: :shutting_down,
          tasks: :shutting_down
        }

        assert error.code == Map.get(codes, unquote(victim), :host_node_failed)
        assert_receive {:DOWN, ^monitor, :process, ^pid, _reason}, 10_000
        session = one(name, "upcase", %{"text" => "again"})
        assert {:ok, %{"text" => "AGAIN"}} = Graphport.demand(session, "n", timeout: 30_000)
        eventually(fn -> tasks(name) == [] end)
        eventually(fn -> match?({:ok, %{open_demands: 0}}, Graphport.info(name)) end)
        assert_credit_comes_back(name)
      end
    end
  end

  describe "many" do
    test "512 demands that wait for as many runs are all answered", %{name: name, to: to} do
      session = one(name, "waits", %{"to" => to})

      for x <- 1..512,
          do: {:ok, _demand} = Graphport.demand_async(session, "n", inputs: %{"n" => %{"x" => x}}, tag: x)

      go_on(512)

      for x <- 1..512 do
        assert_receive {:graphport, ^x, {:demand_complete, "n", %{"value" => ^x}}}, 30_000
      end

      eventually(fn -> tasks(name) == [] end)
      assert_credit_comes_back(name)
    end

    @tag options: [host_concurrency: 2]
    test "run a few at a time, the others when it is their turn", %{name: name, to: to} do
      session = one(name, "waits", %{"to" => to})

      for x <- 1..6,
          do: {:ok, _demand} = Graphport.demand_async(session, "n", inputs: %{"n" => %{"x" => x}}, tag: x)

      assert_receive {:waits, first, one, _context}, 10_000
      assert_receive {:waits, _second, _two, _context}, 10_000
      {:ok, last} = Graphport.demand_async(session, "n", inputs: %{"n" => %{"x" => :last}})
      assert {:ok, _all} = Graphport.nodes(name)
      assert length(tasks(name)) == 2
      refute_received {:waits, _pid, _x, _context}

      # One that waits for its turn is cancelled like any other.
      Graphport.cancel(last)
      assert_receive {:demand_error, "n", %Error{code: :cancelled}}, 10_000
      send(first, {:go_on, one})
      assert_receive {:graphport, ^one, {:demand_complete, "n", %{"value" => ^one}}}, 10_000
      assert_receive {:waits, _third, three, _context}, 10_000
      assert three in 1..6
    end

    @tag options: [host_concurrency: 4]
    test "100 may demand what other nodes of the app give, though 4 run at a time", %{name: name, to: to} do
      _inner =
        Graphport.open!(name, graph([{"inner", "counted", %{"to" => to}}]), owner: :none, name: "inner")

      outer = one(name, "asks", %{"session" => "inner", "node" => "inner"})

      for x <- 1..100,
          do: {:ok, _demand} = Graphport.demand_async(outer, "n", inputs: %{"n" => %{"x" => x}}, tag: x)

      for x <- 1..100, do: assert_receive({:graphport, ^x, {:demand_complete, "n", %{"value" => ^x}}}, 50_000)
      assert for({:ran, "inner", x} <- mailbox(), do: x) |> Enum.sort() == Enum.to_list(1..100)
      assert_credit_comes_back(name)
    end
  end

  for transport <- [:port, :erlport] do
    @tag options: [transport: transport, engines: 2]
    test "two engines, by #{transport}, call the same nodes", %{name: name} do
      sessions = for _ <- 1..4, do: one(name, "upcase", %{"text" => ""})

      answers =
        for session <- sessions, x <- 1..20 do
          Graphport.demand!(session, "n", inputs: %{"n" => %{"text" => "a#{x}"}})
        end

      assert answers == for(_ <- 1..4, x <- 1..20, do: %{"text" => "A#{x}"})
    end
  end

  test "graphs of nodes of both kinds give what those of one kind give", %{name: name} do
    for seed <- 1..20 do
      :rand.seed(:exsss, {seed, 2, 3})
      count = 2 + :rand.uniform(30)
      edges = for to <- 1..count, from <- 0..(to - 1), :rand.uniform(3) == 1, do: {from, to}
      data = for at <- 0..count, do: :rand.uniform(100) + at

      answers =
        for choose <- [fn -> "total" end, fn -> Enum.random(["total", "add"]) end] do
          nodes = for {x, at} <- Enum.with_index(data), do: {"#{at}", choose.(), %{"x" => x}}
          edges = for {from, to} <- edges, do: {{"#{from}", "value"}, {"#{to}", "items"}}
          session = Graphport.open!(name, graph(nodes, edges))
          answer = Graphport.demand!(session, Enum.map(0..count, &"#{&1}"))
          Graphport.close(session)
          answer
        end

      assert [same, same] = answers
    end
  end

  # Lets so many runs that wait go on, with their own x as result.
  defp go_on(0), do: :ok

  defp go_on(left) do
    assert_receive {:waits, pid, x, _context}, 30_000
    send(pid, {:go_on, x})
    go_on(left - 1)
  end

  defp assert_ends(pid) do
    monitor = Process.monitor(pid)
    assert_receive {:DOWN, ^monitor, :process, ^pid, _reason}, 10_000
  end

  defp kill(name, role), do: name |> Instance.process_name(role) |> Process.whereis() |> Process.exit(:kill)

  defp assert_credit_comes_back(name) do
    {:ok, instance} = Instance.fetch(name)

    eventually(
      fn ->
        {:ok, _all} = Graphport.nodes(name, type: "upcase")
        [{_index, :up, _epoch, _port, credit, _facts}] = :ets.lookup(instance.engines, 0)
        {frames, _bytes} = Credit.unread(credit)
        # The question itself.
        frames <= 64
      end,
      20_000
    )
  end
end
