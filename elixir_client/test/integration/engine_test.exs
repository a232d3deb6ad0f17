# The whole way, with the real engine: graphs, values, streams, faults. What users get is the same through both doors.
for transport <- [:port, :erlport] do
  defmodule Module.concat(Graphport.Integration.EngineTest, Macro.camelize("#{transport}")) do
    @transport transport
    use Graphport.Case, async: true

    import ExUnit.CaptureLog

    alias Graphport.{Error, LogHandler}
    alias Graphport.Port.OsProcess

    setup context do
      start_engine(context.name, nodes: ["graphport_test_nodes"], transport: @transport)
      :ok
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

    defp one(type, data \\ %{}), do: graph([{"n", type, data}])

    describe "the core nodes" do
      test "text flows from input to output, and a demand's inputs win", %{name: name} do
        session =
          Graphport.open!(
            name,
            graph([{"in", "text-input", %{text: "hello"}}, {"out", "text-output", %{}}], [
              {{"in", "text"}, {"out", "text"}}
            ])
          )

        assert {:ok, %{"text" => "hello"}} = Graphport.demand(session, "out")
        assert {:ok, %{"text" => "hello"}} = Graphport.demand(session, "out")

        assert {:ok, %{"text" => "you"}} =
                 Graphport.demand(session, "out", inputs: %{"in" => %{"text" => "you"}})

        assert {:ok, demand} = Graphport.demand_async(session, "out")
        assert_receive {:demand_complete, "out", %{"text" => "hello"}}, 5_000
        assert :ok = Graphport.cancel(demand)
      end

      test "merge joins, conditional routes, json-filter picks", %{name: name} do
        session =
          Graphport.open!(
            name,
            graph(
              [
                {"a", "text-input", %{text: "one"}},
                {"b", "text-input", %{text: "two"}},
                {"both", "merge", %{}},
                {"flag", "boolean-input", %{value: true}},
                {"if", "conditional", %{}},
                {"yes", "text-output", %{}},
                {"no", "text-output", %{}},
                {"pick", "json-filter", %{json: %{a: %{b: [10, 20]}}, path: "a.b[1]"}}
              ],
              [
                {{"a", "text"}, {"both", "inputs"}},
                {{"b", "text"}, {"both", "inputs"}},
                {{"flag", "value"}, {"if", "condition"}},
                {{"both", "merged"}, {"if", "value"}},
                {{"if", "true_out"}, {"yes", "text"}},
                {{"if", "false_out"}, {"no", "text"}}
              ]
            )
          )

        assert {:ok, %{"merged" => "one\ntwo", "count" => 2}} = Graphport.demand(session, "both")
        assert {:ok, %{"text" => "one\ntwo"}} = Graphport.demand(session, "yes")
        assert {:ok, skipped} = Graphport.demand(session, "no")
        assert skipped == %{}
        inputs = %{"flag" => %{"value" => false}}
        assert {:ok, %{"text" => "one\ntwo"}} = Graphport.demand(session, "no", inputs: inputs)
        assert {:ok, %{"value" => 20, "found" => true}} = Graphport.demand(session, "pick")
      end
    end

    test "values arrive in Python as their counterparts and come back the same", %{name: name} do
      session = Graphport.open!(name, graph([{"same", "same", %{}}, {"kind", "kind", %{}}]))

      for {value, kind} <- [
            {nil, "NoneType"},
            {true, "bool"},
            {-7, "int"},
            {Integer.pow(2, 100), "int"},
            {1.5, "float"},
            {:infinity, "float"},
            {"äöü€", "str"},
            {[1, ["x"]], "list"},
            {%{"a" => %{"b" => nil}}, "dict"},
            {{1, "two"}, "tuple"},
            {MapSet.new([1, 2]), "set"},
            {~D[2026-11-21], "date"},
            {~T[03:25:00], "time"},
            {~N[2026-11-21 03:25:00], "datetime"},
            {~U[2026-11-21 03:25:00.000001Z], "datetime"}
          ] do
        inputs = %{"same" => %{"value" => value}, "kind" => %{"value" => value}}
        assert {:ok, %{"value" => ^value}} = Graphport.demand(session, "same", inputs: inputs)
        assert {:ok, %{"value" => ^kind}} = Graphport.demand(session, "kind", inputs: inputs)
      end

      inputs = %{
        "same" => %{"value" => Graphport.bytes(<<255, 0>>)},
        "kind" => %{"value" => Graphport.bytes("x")}
      }

      assert {:ok, %{"value" => <<255, 0>>}} = Graphport.demand(session, "same", inputs: inputs)
      assert {:ok, %{"value" => "bytes"}} = Graphport.demand(session, "kind", inputs: inputs)
    end

    test "chunks come in order, before the one last message", %{name: name} do
      session = Graphport.open!(name, one("slow-words", %{text: "the quick brown fox"}))
      {:ok, _demand} = Graphport.demand_async(session, "n")
      assert_receive {:demand_complete, "n", %{"text" => "the quick brown fox"}}, 5_000
      chunks = mailbox()
      assert chunks != []
      assert Enum.map_join(chunks, fn {:node_stream, "n", chunk} -> chunk end) == "the quick brown fox "
    end

    describe "errors" do
      test "a model backend that does not exist is refused at once", %{name: name} do
        assert_raise ArgumentError, ~r/llama-server/, fn ->
          Graphport.start_link(name: Module.concat(name, Backend), backend: "no such", transport: @transport)
        end
      end

      test "a node that raises", %{name: name} do
        session = Graphport.open!(name, one("raises", %{text: "no luck today"}))

        assert {:error, %Error{code: :node_failed, node_id: "n", exception: "ValueError"} = error} =
                 Graphport.demand(session, "n")

        assert error.message =~ "no luck today"
        assert error.traceback =~ "graphport_test_nodes.py"
      end

      test "an output that is not declared", %{name: name} do
        session = Graphport.open!(name, one("undeclared"))
        assert {:error, %Error{code: :undeclared_output}} = Graphport.demand(session, "n")
      end

      test "a node that never returns: deadline, cancel", %{name: name} do
        session = Graphport.open!(name, one("forever"))
        assert {:error, %Error{code: :deadline_exceeded}} = Graphport.demand(session, "n", timeout: 100)
        {:ok, demand} = Graphport.demand_async(session, "n")
        :ok = Graphport.cancel(demand)
        assert_receive {:demand_error, "n", %Error{code: :cancelled}}, 5_000
        {:ok, _demand} = Graphport.demand_async(session, "n")
        :ok = Graphport.close(session)
        assert_receive {:demand_error, "n", %Error{code: :cancelled}}, 5_000
        assert mailbox() == []
        assert {:ok, %{open_demands: 0}} = Graphport.info(name)
      end

      test "unknown node, unknown session", %{name: name} do
        session = Graphport.open!(name, one("text-input", %{text: "x"}))
        assert {:error, %Error{code: :unknown_node, node_id: "nobody"}} = Graphport.demand(session, "nobody")
        Graphport.close(session)
        assert {:error, %Error{code: :unknown_session}} = Graphport.demand(session, "n")
      end

      test "a graph with many faults lists them all", %{name: name} do
        edge = %{source: "a", source_handle: "text", target: "nobody", target_handle: "text"}

        loop =
          for {a, b} <- [{"x", "y"}, {"y", "x"}],
              do: %{source: a, source_handle: "text", target: b, target_handle: "text"}

        nodes =
          for {id, type} <- [
                {"a", "text-input"},
                {"u", "no-such-type"},
                {"x", "text-output"},
                {"y", "text-output"}
              ],
              do: %{id: id, type: type}

        assert {:error, %Error{code: :invalid_graph, details: %{"faults" => faults}}} =
                 Graphport.open(name, %{nodes: nodes, edges: [edge | loop]})

        codes = Enum.map(faults, & &1["code"])
        for code <- ~w(cycle unknown_type dangling_edge), do: assert(code in codes)
      end

      test "a module of nodes that does not exist ends the start", %{name: name} do
        options = [name: :"#{name} other", python: python(), nodes: ["no_such_module_anywhere"]]
        paths = [Path.expand("../../../python", __DIR__)]

        assert {:error, %Error{code: :invalid_nodes, message: text}} =
                 Graphport.start_link([python_path: paths] ++ options)

        assert text =~ "no_such_module_anywhere"
      end
    end

    describe "who dies" do
      test "a caller: its demand ends", %{name: name} do
        session = Graphport.open!(name, one("forever"))
        caller = spawn(fn -> Graphport.demand(session, "n", timeout: :infinity) end)
        eventually(fn -> match?({:ok, %{open_demands: 1}}, Graphport.info(name)) end)
        Process.exit(caller, :kill)
        eventually(fn -> match?({:ok, %{open_demands: 0}}, Graphport.info(name)) end)
      end

      test "the engine: engine_down, then all goes on", %{name: name} do
        session = Graphport.open!(name, graph([{"f", "forever", %{}}, {"t", "text-input", %{text: "x"}}]))
        os_pid = os_pid(name)
        {:ok, _demand} = Graphport.demand_async(session, "f")
        OsProcess.kill(os_pid, OsProcess.start_time(os_pid))
        assert_receive {:demand_error, "f", %Error{code: :engine_down}}, 5_000
        assert {:ok, %{"text" => "x"}} = Graphport.demand(session, "t")
        refute os_pid(name) == os_pid
      end

      test "the instance: no process is left", %{name: name} do
        session = Graphport.open!(name, one("sleeps"))
        os_pid = os_pid(name)
        {:ok, _demand} = Graphport.demand_async(session, "n")
        :ok = stop_supervised({Graphport, name})
        assert_receive {:demand_error, "n", %Error{code: :shutting_down}}
        refute os_alive?(os_pid)
      end
    end

    test "what nodes log and print reaches Logger", %{name: name} do
      session = Graphport.open!(name, one("logs", %{text: "a-word-to-look-for"}))
      LogHandler.attach(name)

      capture_log(fn ->
        assert {:ok, %{}} = Graphport.demand(session, "n")

        assert_receive {:log, :warning, "a-word-to-look-for in the log", %{graphport: ^name, os_pid: _}},
                       5_000

        assert_receive {:log, _level, "a-word-to-look-for printed" <> _, %{graphport: ^name}}, 5_000
      end)
    end

    test "callers at once, a session each", %{name: name} do
      1..8
      |> Enum.map(fn n ->
        Task.async(fn ->
          session = Graphport.open!(name, one("same"))

          for i <- 1..50,
              do:
                assert(
                  {:ok, %{"value" => [^n, ^i]}} =
                    Graphport.demand(session, "n", inputs: %{"n" => %{"value" => [n, i]}})
                )
        end)
      end)
      |> Task.await_many(30_000)

      eventually(fn -> match?({:ok, %{open_sessions: 0, open_demands: 0}}, Graphport.info(name)) end)
    end
  end
end
