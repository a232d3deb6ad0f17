defmodule Graphport.CallerTest do
  # Demands from the caller's side: what is sent, what comes back, and what never does.
  use Graphport.Case, async: true

  alias Graphport.{Demand, Error}

  setup %{name: name} do
    start_peer(name)
    {:ok, session} = Graphport.open(name, %{})
    {:ok, session: session}
  end

  describe "demand/3" do
    test "returns the outputs and sends only what differs from the defaults", %{session: session} do
      assert {:ok, %{"options" => %{"deadline_ms" => left} = options}} = Graphport.demand(session, "echo")
      assert left in 59_000..60_000
      assert map_size(options) == 1
      assert {:ok, %{"options" => options}} = Graphport.demand(session, "echo", timeout: :infinity)
      assert options == %{}

      inputs = %{a: %{"text" => "x", n: 1}}

      assert {:ok, %{"options" => %{"inputs" => %{"a" => %{"n" => 1, "text" => "x"}}, "fresh" => true}}} =
               Graphport.demand(session, "echo", inputs: inputs, fresh: true)
    end

    test "returns the engine's error", %{session: session} do
      assert {:error, %Error{code: :node_failed, node_id: "inner", message: "as told", details: %{"a" => 1}}} =
               Graphport.demand(session, "error:node_failed")

      assert {:error, %Error{code: :unknown, details: %{"code" => "too_sunny"}}} =
               Graphport.demand(session, "error:too_sunny")

      assert_raise Error, ~r/node_failed in node "inner": as told/, fn ->
        Graphport.demand!(session, "error:node_failed")
      end

      assert %{"options" => _} = Graphport.demand!(session, "echo")
    end

    test "ends with its time-out, cancels the work and leaves nothing behind", %{session: session, name: name} do
      assert {:error, %Error{code: :deadline_exceeded, node_id: "deaf"}} =
               Graphport.demand(session, "deaf", timeout: 50)

      assert {:ok, %{"ids" => [_id]}} = Graphport.demand(session, "cancels:1")
      assert {:error, %Error{code: :deadline_exceeded}} = Graphport.demand(session, "late:400", timeout: 50)
      assert {:ok, _outputs} = Graphport.demand(session, "echo")
      assert {:ok, %{open_demands: 0}} = Graphport.info(name)
      assert mailbox() == []
    end

    test "leaves other messages alone", %{session: session} do
      send(self(), {:demand_complete, "echo", :not_mine})
      assert {:ok, %{"options" => _}} = Graphport.demand(session, "echo")
      assert mailbox() == [{:demand_complete, "echo", :not_mine}]
    end

    test "receives no chunks", %{session: session} do
      assert {:ok, %{}} = Graphport.demand(session, "stream")
      assert mailbox() == []
    end

    test "from many processes at once gives each its own answer", %{session: session} do
      1..16
      |> Enum.map(fn n ->
        Task.async(fn ->
          for i <- 1..50 do
            inputs = %{"n" => %{"v" => n * 1000 + i}}

            assert {:ok, %{"options" => %{"inputs" => ^inputs}}} =
                     Graphport.demand(session, "echo", inputs: inputs)
          end
        end)
      end)
      |> Task.await_many(20_000)
    end
  end

  describe "demand_async/3" do
    test "sends the first streaming port of each node, then one last message", %{session: session} do
      assert {:ok, %Demand{node: "stream", session: ^session}} = Graphport.demand_async(session, "stream")
      assert_receive {:demand_complete, "stream", %{}}, 5_000

      assert mailbox() ==
               for(text <- ["xa0", "ya0", "xa1", "ya1"], do: {:node_stream, String.first(text), text})
    end

    test "sends all ports with stream: :all, none with stream: false", %{session: session} do
      {:ok, _demand} = Graphport.demand_async(session, "stream", stream: :all)
      assert_receive {:demand_complete, "stream", %{}}, 5_000
      assert [{:node_stream, "x", {"a", "xa0"}}, {:node_stream, "x", {"b", "xb0"}} | rest] = mailbox()
      assert length(rest) == 6
      {:ok, _demand} = Graphport.demand_async(session, "stream", stream: false)
      assert_receive {:demand_complete, "stream", %{}}, 5_000
      assert mailbox() == []
    end

    test "asks the engine to stream what is wanted", %{session: session} do
      for {option, wire} <- [{true, true}, {:all, true}, {["a"], ["a"]}, {false, nil}, {[], nil}] do
        {:ok, _demand} = Graphport.demand_async(session, "echo", stream: option)
        assert_receive {:demand_complete, "echo", %{"options" => options}}, 5_000
        assert options["stream"] == wire
      end
    end

    test "sends to another process", %{session: session} do
      task = Task.async(fn -> assert_receive({:demand_complete, "echo", _outputs}, 5_000) end)
      {:ok, _demand} = Graphport.demand_async(session, "echo", to: task.pid)
      assert {:demand_complete, "echo", %{}} = Task.await(task)
      assert mailbox() == []
    end

    test "gives exactly one last message, whatever the engine says after it", %{session: session} do
      {:ok, _demand} = Graphport.demand_async(session, "twice")
      {:ok, _outputs} = Graphport.demand(session, "echo")
      assert mailbox() == [{:demand_complete, "twice", %{"n" => 1}}]
    end

    test "refuses what has no form on the wire, and what is too large for it", %{session: session, name: name} do
      assert {:error, %Error{code: :unencodable_value, message: text}} =
               Graphport.demand_async(session, "echo", inputs: %{"a" => %{"v" => self()}})

      assert text =~ "a pid"
      big = %{"a" => %{"v" => List.duplicate(Graphport.bytes(:binary.copy("x", 1_048_576)), 256)}}
      assert {:error, %Error{code: :too_large}} = Graphport.demand_async(session, "echo", inputs: big)
      assert {:error, %Error{code: :too_large}} = Graphport.demand(session, "echo", inputs: big)
      assert {:ok, %{open_demands: 0}} = Graphport.info(name)
    end

    test "raises for what is no session or no node id, with a sentence", %{session: session} do
      for demand <- [&Graphport.demand/2, &Graphport.demand!/2, &Graphport.demand_async/2] do
        assert_raise ArgumentError, ~r/expected a node id, .*got: :echo/, fn ->
          demand.(session, :echo)
        end

        assert_raise ArgumentError, ~r/expected a session from Graphport.open\/3/, fn ->
          demand.(:s, "echo")
        end
      end
    end

    test "raises for bad options in the caller", %{session: session} do
      assert_raise ArgumentError, ~r/did you mean :stream\?/, fn ->
        Graphport.demand_async(session, "echo", sream: true)
      end

      assert_raise ArgumentError, ~r/expected a map of node ids/, fn ->
        Graphport.demand_async(session, "echo", inputs: %{"a" => 1})
      end
    end
  end

  describe "tag:" do
    test "wraps every message of the demand", %{session: session} do
      for tag <- [:mine, {"a", 1}, false] do
        {:ok, _demand} = Graphport.demand_async(session, "stream", tag: tag, stream: ["x"])
        assert_receive {:graphport, ^tag, {:demand_complete, "stream", %{}}}, 5_000
        texts = for {:graphport, ^tag, {:node_stream, _node, text}} <- mailbox(), do: text
        assert texts == ["xa0", "ya0", "xa1", "ya1"]
      end

      {:ok, _demand} = Graphport.demand_async(session, "error:node_failed", tag: :mine)

      assert_receive {:graphport, :mine, {:demand_error, "error:node_failed", %Error{code: :node_failed}}},
                     5_000

      assert mailbox() == []
    end

    test "true makes the demand's ref the tag", %{session: session} do
      {:ok, %Demand{ref: one}} = Graphport.demand_async(session, "echo", tag: true)
      {:ok, %Demand{ref: two}} = Graphport.demand_async(session, "silent", tag: true)
      assert_receive {:graphport, ^one, {:demand_complete, "echo", %{}}}, 5_000
      assert :ok = Graphport.cancel(%Demand{ref: two, node: "silent", session: session})
      assert_receive {:graphport, ^two, {:demand_error, "silent", %Error{code: :cancelled}}}, 5_000
      assert mailbox() == []
    end

    test "is kept when the engine dies, and the demand starts anew in the next one", %{session: session} do
      {:ok, _demand} = Graphport.demand_async(session, "die", tag: :mine)
      assert_receive {:graphport, :mine, {:demand_error, "die", %Error{code: :engine_down}}}, 5_000
      {:ok, %Demand{ref: ref}} = Graphport.demand_async(session, "echo", tag: true)
      assert_receive {:graphport, ^ref, {:demand_complete, "echo", %{}}}, 5_000
    end

    test "goes to another process too, whose end cancels the demand", %{session: session} do
      test = self()

      other =
        spawn(fn ->
          receive do: (message -> send(test, {:other, message}))
          receive do: (:never -> :ok)
        end)

      {:ok, _demand} = Graphport.demand_async(session, "echo", tag: "t", to: other)
      assert_receive {:other, {:graphport, "t", {:demand_complete, "echo", %{}}}}, 5_000
      {:ok, %Demand{ref: id}} = Graphport.demand_async(session, "silent", tag: "t", to: other)
      Process.exit(other, :kill)
      assert {:ok, %{"ids" => [^id]}} = Graphport.demand(session, "cancels:1")
      assert mailbox() == []
    end
  end

  describe "events:" do
    test "come in order, as maps with string keys", %{session: session} do
      {:ok, _demand} = Graphport.demand_async(session, "events", events: true)
      assert_receive {:demand_complete, "events", %{}}, 5_000

      assert mailbox() == [
               {:node_event, "", %{"event" => "planned", "nodes" => 2}},
               {:node_event, "x", %{"event" => "started"}},
               {:node_event, "x", %{"event" => "never_heard_of", "a" => [1]}}
             ]
    end

    test "are asked for only if wanted, and not passed on otherwise", %{session: session} do
      {:ok, _demand} = Graphport.demand_async(session, "echo", events: true, stream: false)
      assert_receive {:demand_complete, "echo", %{"options" => options}}, 5_000
      assert options == %{"events" => true}
      {:ok, _demand} = Graphport.demand_async(session, "events")
      assert_receive {:demand_complete, "events", %{}}, 5_000
      assert {:ok, %{}} = Graphport.demand(session, "events")
      assert mailbox() == []
    end
  end

  describe "several nodes" do
    test "are one demand, whose messages carry them as given", %{session: session} do
      nodes = ["a", "b"]
      assert {:ok, %Demand{node: ^nodes}} = Graphport.demand_async(session, nodes)
      assert_receive {:demand_complete, ^nodes, %{"a" => %{"options" => _}, "b" => %{"options" => _}}}, 5_000
      assert {:ok, %Demand{node: "*"}} = Graphport.demand_async(session, "*", stream: false)
      assert_receive {:demand_complete, "*", %{"*" => %{"options" => options}}}, 5_000
      assert options == %{}
      assert mailbox() == []
    end

    test "give their outputs by node", %{session: session} do
      assert {:ok, %{"a" => %{"options" => _}, "b" => %{}}} = Graphport.demand(session, ["a", "b"])
      assert %{"a" => %{"options" => _}} = Graphport.demand!(session, ["a"])
    end

    test "are no node of an error that names none", %{session: session} do
      assert {:error, %Error{code: :deadline_exceeded, node_id: nil}} =
               Graphport.demand(session, ["silent", "b"], timeout: 50)

      assert {:error, %Error{code: :engine_down, node_id: nil}} = Graphport.demand(session, ["die", "b"])
      {:ok, _demand} = Graphport.demand_async(session, ["silent", "b"])
      :ok = stop_supervised({Graphport, session.instance})

      assert_receive {:demand_error, ["silent", "b"], %Error{code: :shutting_down, node_id: nil} = error},
                     5_000

      assert to_string(error) =~ "shutting_down: "
    end

    test "of a wrong shape raise in the caller", %{session: session} do
      too_many = Enum.map(1..1_001, &Integer.to_string/1)

      for nodes <- [[], ["a", "a"], ["a", :b], :a, nil, %{}, too_many] do
        for demand <- [&Graphport.demand/2, &Graphport.demand_async/2, &Graphport.stream/2] do
          assert_raise ArgumentError, ~r/a list of 1 to 1000 different node ids/, fn ->
            demand.(session, nodes)
          end
        end
      end
    end
  end

  describe "cancel/1" do
    test "ends the demand with cancelled", %{session: session} do
      {:ok, demand} = Graphport.demand_async(session, "silent")
      assert :ok = Graphport.cancel(demand)
      assert_receive {:demand_error, "silent", %Error{code: :cancelled}}, 5_000
      assert :ok = Graphport.cancel(demand)
      assert mailbox() == []
    end

    test "does nothing to a demand that has ended", %{session: session} do
      {:ok, demand} = Graphport.demand_async(session, "echo")
      assert_receive {:demand_complete, "echo", _outputs}, 5_000
      assert :ok = Graphport.cancel(demand)
      {:ok, _outputs} = Graphport.demand(session, "echo")
      assert mailbox() == []
    end
  end

  describe "an engine that reads nothing" do
    test "makes callers wait until their deadline, then overloaded; cancel still gets through", context do
      %{session: session, name: name} = context
      {:ok, demand} = Graphport.demand_async(session, "silent")
      {:ok, _demand} = Graphport.demand_async(session, "late:700")

      flood = fn flood, sent ->
        case Graphport.demand_async(session, "echo", timeout: 100) do
          {:ok, _demand} -> flood.(flood, sent + 1)
          {:error, error} -> {sent, error}
        end
      end

      assert {sent, %Error{code: :overloaded}} = flood.(flood, 0)
      assert sent in 300..448
      assert %{unread_frames: unread} = engine(name)
      assert unread in 300..512
      assert :ok = Graphport.cancel(demand)
      assert_receive {:demand_error, "silent", %Error{code: :cancelled}}, 5_000
      for _ <- 1..sent, do: assert_receive({:demand_complete, "echo", _outputs}, 5_000)
      assert_receive {:demand_complete, "late:700", _outputs}
      assert {:ok, %{open_demands: 0}} = Graphport.info(name)
    end

    test "gets what waited as soon as it reads again", %{session: session} do
      {:ok, _demand} = Graphport.demand_async(session, "late:300")
      for _ <- 1..1_000, do: assert({:ok, _demand} = Graphport.demand_async(session, "echo", timeout: 10_000))
      for _ <- 1..1_000, do: assert_receive({:demand_complete, "echo", %{}}, 5_000)
    end
  end

  test "the engine is told what was read, at the latest after 256 KiB", %{session: session} do
    for _ <- 1..10 do
      assert {:ok, %{"data" => data}} = Graphport.demand(session, "big:200000")
      assert byte_size(data) == 200_000
    end

    assert {:ok, %{"ids" => credits}} = Graphport.demand(session, "credits:5")
    bytes = Enum.map(credits, fn [_frames, bytes] -> bytes end)
    assert Enum.all?(Enum.zip([0 | bytes], bytes), fn {before, now} -> (now - before) in 262_144..462_144 end)
    assert [frames | _] = List.last(credits)
    assert frames in 10..12
  end
end
