for transport <- [:port, :erlport] do
  defmodule Module.concat(Graphport.Integration.StreamTest, Macro.camelize("#{transport}")) do
    # Streams, windows, events, several nodes and the list of node types, with the real engine.
    use Graphport.Case, async: true

    @transport transport

    alias Graphport.Error

    setup context do
      start_engine(context.name, transport: @transport, nodes: ["graphport_test_nodes"])
      :ok
    end

    defp open(name, nodes) do
      Graphport.open!(name, %{
        nodes: for({id, type, data} <- nodes, do: %{id: id, type: type, data: data}),
        edges: []
      })
    end

    defp endless(name, port),
      do: open(name, [{"n", "endless", %{port: port}}, {"running", "endless-running", %{}}])

    defp nothing_runs(session, name) do
      eventually(fn -> Graphport.demand(session, "running") == {:ok, %{"value" => 0}} end)
      assert {:ok, %{open_demands: 0}} = Graphport.info(name)
      assert {:messages, []} = Process.info(self(), :messages)
      assert Process.info(self(), :monitors) == {:monitors, []}
    end

    describe "a slow consumer of an endless node" do
      test "never has more than the window in its mailbox, and loses no text", %{name: name} do
        session = endless(name, "text")

        for window <- [1, 8, 32] do
          stream = Graphport.stream(session, "n", window: window)
          texts = for chunk <- Stream.take(stream, 100), do: slowly(session, chunk, window)
          text = Enum.join(texts)
          numbers = text |> String.split(" ", trim: true) |> Enum.map(&String.to_integer/1)
          # The last number may be cut.
          numbers = Enum.drop(numbers, -1)
          assert numbers == Enum.to_list(0..(length(numbers) - 1))
          assert length(numbers) >= 99
          nothing_runs(session, name)
        end
      end

      test "gets every chunk that is no text, as it was made", %{name: name} do
        session = endless(name, "number")
        stream = Graphport.stream(session, "n", window: 10)
        assert stream |> Stream.take(100) |> Enum.map(&slowly(session, &1, 10)) == Enum.to_list(0..99)
        nothing_runs(session, name)
      end

      # A demand of its own in between gives the engine time to send all that it may.
      defp slowly(session, chunk, window) do
        {:ok, %{"value" => 1}} = Graphport.demand(session, "running")
        {:message_queue_len, waiting} = Process.info(self(), :message_queue_len)
        assert waiting <= window
        chunk
      end

      test "ends the node's work however it stops", %{name: name} do
        session = endless(name, "both")
        stream = Graphport.stream(session, "n")
        assert_raise RuntimeError, fn -> Enum.each(stream, fn _chunk -> raise "enough" end) end
        nothing_runs(session, name)
        assert catch_throw(Enum.each(stream, &throw/1)) =~ "0 "
        nothing_runs(session, name)

        assert stream |> Stream.zip(Graphport.stream(session, "n", stream: :all)) |> Enum.take(2) |> length() ==
                 2

        nothing_runs(session, name)

        assert %Error{code: :deadline_exceeded} =
                 assert_raise(Error, fn -> Enum.each(timed(session), & &1) end)

        nothing_runs(session, name)
      end

      defp timed(session), do: Graphport.stream(session, "n", timeout: 200)
    end

    test "a stream has all that a demand's messages have", %{name: name} do
      session = open(name, [{"n", "slow-words", %{text: "the quick brown fox"}}])
      assert session |> Graphport.stream("n") |> Enum.join() == "the quick brown fox "
      # Now from the cache, whose text is streamed again.
      messages = session |> Graphport.stream("n", elements: :messages) |> Enum.to_list()
      assert {:demand_complete, "n", %{"text" => "the quick brown fox"}} = List.last(messages)

      assert Enum.map_join(messages, fn message ->
               with({:node_stream, "n", text} <- message, do: text, else: (_ -> ""))
             end) == "the quick brown fox "
    end

    test "chunks of a second port that are not wanted do not use the window up", %{name: name} do
      session = open(name, [{"n", "both-ports", %{n: 200}}])
      assert session |> Graphport.stream("n", window: 1) |> Enum.to_list() == Enum.to_list(0..199)
      all = session |> Graphport.stream("n", window: 3, stream: :all, fresh: true) |> Enum.to_list()
      assert for({"number", number} <- all, do: number) == Enum.to_list(0..199)
      assert Enum.map_join(for({"text", text} <- all, do: text), & &1) == Enum.map_join(0..199, &"#{&1} ")
    end

    describe "several nodes" do
      test "are answered by node; all sinks with \"*\"", %{name: name} do
        session = open(name, [{"a", "text-input", %{text: "x"}}, {"b", "tells", %{}}])
        both = %{"a" => %{"text" => "x"}, "b" => %{"value" => 2}}
        assert {:ok, ^both} = Graphport.demand(session, ["a", "b"])
        assert {:ok, ^both} = Graphport.demand(session, "*")
        {:ok, _demand} = Graphport.demand_async(session, ["b"], tag: true)
        assert_receive {:graphport, _ref, {:demand_complete, ["b"], %{"b" => %{"value" => 2}}}}, 5_000

        assert [{:demand_complete, "*", ^both}] =
                 session |> Graphport.stream("*", elements: :messages) |> Enum.to_list()
      end

      test "fail with the node that failed", %{name: name} do
        session = open(name, [{"a", "text-input", %{text: "x"}}, {"bad", "raises", %{}}])
        assert {:error, %Error{code: :node_failed, node_id: "bad"}} = Graphport.demand(session, ["a", "bad"])

        assert {:error, %Error{code: :unknown_node, message: text}} =
                 Graphport.demand(session, ["a", "nobody"])

        assert text =~ "nobody"

        {:ok, _demand} = Graphport.demand_async(session, "*", events: true)
        assert_receive {:demand_error, "*", %Error{code: :node_failed, node_id: "bad"}}, 5_000
        assert {:node_event, "bad", %{"event" => "failed", "code" => "node_failed"}} in mailbox()
      end
    end

    test "events tell what happens to each node", %{name: name} do
      session = open(name, [{"n", "tells", %{}}])
      events = fn -> for {:node_event, node, event} <- all(session), do: {node, event["event"], event} end
      first = events.()

      assert [{"", "planned", %{"nodes" => 1}}, {"n", "started", _}, {"n", "progress", one} | rest] = first
      assert %{"fraction" => 0.5, "text" => "step 1"} = one
      assert {"n", "completed", %{"us" => us}} = List.last(rest)
      assert is_integer(us)

      assert Enum.map(events.(), fn {node, kind, _event} -> {node, kind} end) == [
               {"", "planned"},
               {"n", "cached"}
             ]
    end

    defp all(session),
      do: session |> Graphport.stream("n", elements: :messages, events: true) |> Enum.to_list()

    test "node types are listed, with the user's own", %{name: name} do
      assert {:ok, types} = Graphport.nodes(name)
      names = Enum.map(types, & &1["type"])
      assert length(types) > 20
      assert names == Enum.sort(names)
      for type <- ["text-input", "endless", "both-ports"], do: assert(type in names)
      assert {:ok, [%{"type" => "text-input"} = one]} = Graphport.nodes(name, type: "text-input")
      assert one in types
      assert {:error, %Error{code: :unknown_type}} = Graphport.nodes(name, type: "text-inptu")
    end
  end
end
