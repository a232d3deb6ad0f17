defmodule Graphport.PubSubTest do
  use Graphport.Case, async: true

  import ExUnit.CaptureLog

  alias Graphport.{Error, Instance, LogHandler, Topics}
  alias Graphport.Instance.Demands

  setup %{name: name} do
    {:ok, topics: Topics.start(name, "topic")}
  end

  defp session(name, topics, topic \\ "topic", options \\ []) do
    start_peer(name, Keyword.merge([pubsub: {Topics, topics}], options))
    Graphport.open!(name, %{}, topic: topic)
  end

  defp broadcaster(name) do
    {:ok, instance} = Instance.fetch(name)
    [{_id, pid, _type, _modules}] = DynamicSupervisor.which_children(instance.broadcasters)
    pid
  end

  # Messages of `Topics`' topic "slow" that ask to be let through, until one that is told matches.
  defp let_through_until(last?) do
    receive do
      {:may, pid} ->
        send(pid, :may)
        let_through_until(last?)

      message ->
        if last?.(message), do: [message], else: [message | let_through_until(last?)]
    after
      5_000 -> flunk("the last broadcast did not come")
    end
  end

  describe "a session with a topic" do
    test "broadcasts chunks and outputs, and answers the caller as ever", %{name: name, topics: topics} do
      session = session(name, topics)
      test = self()
      caller = spawn_link(fn -> receive do: (:done -> send(test, {:caller, mailbox()})) end)
      {:ok, _demand} = Graphport.demand_async(session, "stream", to: caller)
      assert_receive {:workflow_output, "stream", %{}}, 5_000
      send(caller, :done)

      chunks = [{"x", "xa0"}, {"y", "ya0"}, {"x", "xa1"}, {"y", "ya1"}]
      assert_receive {:caller, told}, 5_000
      assert told == for({n, c} <- chunks, do: {:node_stream, n, c}) ++ [{:demand_complete, "stream", %{}}]

      heard = for {:workflow_stream, node, chunk} <- mailbox(), do: {node, chunk}
      for node <- ["x", "y"], do: assert(text(heard, node) == text(chunks, node))
    end

    test "broadcasts the chunks of demand/3 too, and leaves nothing in the mailbox", context do
      session = session(context.name, context.topics)
      assert {:ok, %{}} = Graphport.demand(session, "stream")
      assert_receive {:workflow_output, "stream", %{}}, 5_000
      heard = for {:workflow_stream, node, chunk} <- mailbox(), do: {node, chunk}
      assert text(heard, "x") == "xa0xa1"
    end

    test "asks the engine for chunks whatever the demand says, without a window where nobody grants",
         context do
      session = session(context.name, context.topics)
      assert %{"options" => %{"stream" => true} = options} = Graphport.demand!(session, "echo")
      refute is_map_key(options, "window")

      [{:demand_complete, "echo", %{"options" => options}}] =
        session |> Graphport.stream("echo", stream: false, elements: :messages) |> Enum.to_list()

      assert options == %{"stream" => true}

      plain = Graphport.open!(context.name, %{})
      assert %{"options" => options} = Graphport.demand!(plain, "echo")
      refute is_map_key(options, "stream")
    end

    test "gives the caller what it asked for, of what the topic hears", context do
      session = session(context.name, context.topics)

      for {given, expected} <- [
            {false, []},
            {["y"], ["ya0", "ya1"]},
            {:all, for(i <- 0..1, n <- ["x", "y"], p <- ["a", "b"], do: {p, "#{n}#{p}#{i}"})}
          ] do
        {:ok, _demand} = Graphport.demand_async(session, "stream", stream: given, tag: given)
        assert_receive {:graphport, ^given, {:demand_complete, "stream", %{}}}, 5_000
        assert_receive {:workflow_output, "stream", %{}}, 5_000
        messages = mailbox()
        assert for({:graphport, ^given, {:node_stream, _node, chunk}} <- messages, do: chunk) == expected
        heard = for {:workflow_stream, node, chunk} <- messages, do: {node, chunk}
        assert text(heard, "x") <> text(heard, "y") == "xa0xa1ya0ya1"
      end
    end

    test "broadcasts what stream/3 reads, and grants also what the consumer does not want", context do
      session = session(context.name, context.topics)
      # Other nodes' chunks are more than the window.
      assert session |> Graphport.stream("count:100", stream: ["other"], window: 8) |> Enum.to_list() == []
      assert_receive {:workflow_output, "count:100", %{"n" => 100}}, 5_000
      heard = for {:workflow_stream, node, chunk} <- mailbox(), do: {node, chunk}
      assert text(heard, "count:100") == Enum.map_join(0..99, &Integer.to_string/1)
    end

    test "keeps the window of stream/3 for progress where no chunks are wanted, and grants them", context do
      session = session(context.name, context.topics)
      given = [stream: false, events: true, elements: :messages, window: 4]

      [{:demand_complete, "echo", %{"options" => options}}] =
        Enum.to_list(Graphport.stream(session, "echo", given))

      assert options == %{"stream" => true, "events" => true, "window" => 4}
      done = {:demand_complete, "count:100", %{"n" => 100}}
      assert session |> Graphport.stream("count:100", given) |> Enum.to_list() == [done]
    end

    test "broadcasts each of several nodes under its id", context do
      session = session(context.name, context.topics)
      {:ok, %{"one" => _, "two" => _}} = Graphport.demand(session, ["one", "two"])
      assert_receive {:workflow_output, "one", %{"options" => _}}, 5_000
      assert_receive {:workflow_output, "two", %{"options" => _}}, 5_000
      {:ok, %{"*" => _}} = Graphport.demand(session, "*")
      assert_receive {:workflow_output, "*", %{"options" => _}}, 5_000
    end

    test "broadcasts errors under what was demanded", context do
      session = session(context.name, context.topics)
      {:error, %Error{code: :node_failed}} = Graphport.demand(session, "error:node_failed")

      assert_receive {:workflow_error, "error:node_failed", %Error{code: :node_failed, node_id: "inner"}},
                     5_000

      {:error, %Error{code: :engine_down}} = Graphport.demand(session, ["one", "die"])
      assert_receive {:workflow_error, "one", %Error{code: :engine_down}}, 5_000
      assert_receive {:workflow_error, "die", %Error{code: :engine_down}}, 5_000
    end

    test "broadcasts the end of demands that nobody waits for any more", context do
      session = session(context.name, context.topics)
      {:error, %Error{code: :deadline_exceeded}} = Graphport.demand(session, "deaf", timeout: 1)
      assert_receive {:workflow_error, "deaf", %Error{code: :deadline_exceeded}}, 5_000

      assert ["0"] = session |> Graphport.stream("count:1000") |> Enum.take(1)
      assert_receive {:workflow_error, "count:1000", %Error{code: :cancelled}}, 5_000

      spawn(fn -> Graphport.demand_async(session, "silent") end)
      assert_receive {:workflow_error, "silent", %Error{code: :cancelled}}, 5_000
    end

    test "broadcasts the ends that a stopping instance gives", %{name: name, topics: topics} do
      session = session(name, topics)
      {:ok, _demand} = Graphport.demand_async(session, "silent")
      stop_supervised!({Graphport, name})
      assert_received {:demand_error, "silent", %Error{code: :shutting_down}}
      assert_received {:workflow_error, "silent", %Error{code: :shutting_down}}
    end

    test "broadcasts what is left when the instance stops while its broadcaster leaves", context do
      _session = session(context.name, context.topics)
      pid = broadcaster(context.name)
      monitor = Process.monitor(pid)
      :ok = :sys.suspend(pid)
      for message <- [:leave?, :leave, {:workflow_output, "last", %{}}], do: send(pid, message)
      stop_supervised!({Graphport, context.name})
      assert_received {:DOWN, ^monitor, :process, ^pid, :shutdown}
      assert_received {:workflow_output, "last", %{}}
    end

    test "its broadcaster ends with it, when the last demand has ended", %{name: name, topics: topics} do
      session = session(name, topics)
      {:ok, demand} = Graphport.demand_async(session, "silent", to: self())
      pid = broadcaster(name)
      monitor = Process.monitor(pid)
      Process.exit(session.pid, :kill)
      {:ok, instance} = Instance.fetch(name)
      assert Demands.heard_by?(instance, pid)
      Graphport.cancel(demand)
      assert_receive {:workflow_error, "silent", %Error{code: :cancelled}}, 5_000
      assert_receive {:DOWN, ^monitor, :process, ^pid, :normal}, 5_000
    end

    test "goes on without a broadcaster that was killed, and later demands have another", context do
      %{name: name, topics: topics} = context
      session = session(name, topics)
      Graphport.demand!(session, "echo")
      pid = broadcaster(name)
      {:ok, _demand} = Graphport.demand_async(session, "silent", tag: :silent)
      monitor = Process.monitor(pid)
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 5_000

      eventually(fn -> match?(%{broadcaster: new} when new not in [nil, pid], :sys.get_state(session.pid)) end)

      Graphport.demand!(session, "who")
      assert_receive {:workflow_output, "who", _outputs}, 5_000
      refute_received {:graphport, :silent, _}
    end
  end

  describe "broadcast/3 that" do
    for topic <- ["raise", "exit"] do
      test "#{topic}s is logged, and nothing else is harmed", %{name: name, topics: topics} do
        LogHandler.attach(name)
        session = session(name, topics, unquote(topic))
        Graphport.demand!(session, "echo")

        assert_receive {:log, :error, "a broadcast to topic \"" <> unquote(topic) <> "\" failed: " <> text,
                        _},
                       5_000

        assert text =~ "no"
        Graphport.demand!(session, "echo")
        assert_receive {:log, :error, "a broadcast to topic" <> _, _}, 5_000
        assert Process.alive?(broadcaster(name))
      end
    end

    test "refuses is logged", %{name: name, topics: topics} do
      LogHandler.attach(name)
      session = session(name, topics, "refuse")
      Graphport.demand!(session, "echo")
      assert_receive {:log, :error, "a broadcast to topic \"refuse\" failed: :refused", _}, 5_000
    end

    test "is killed costs its own message, and the next ones are told", %{name: name, topics: topics} do
      LogHandler.attach(name)
      Topics.subscribe(topics, "killed")
      session = session(name, topics, "killed")
      Graphport.demand!(session, "stream")
      assert_receive {:workflow_output, "stream", %{}}, 5_000
      assert_receive {:log, :error, "a broadcast of Graphport did not return: :killed", _}, 5_000
    end

    @tag :slow
    test "never returns ends with the instance", %{name: name, topics: topics} do
      Topics.subscribe(topics, "slow")
      session = session(name, topics, "slow")
      Graphport.demand!(session, "echo")
      assert_receive {:may, pid}, 5_000
      monitor = Process.monitor(pid)
      stop_supervised!({Graphport, name})
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 5_000
    end

    test "is slow has text joined for it, in order, and keeps nobody waiting", %{name: name, topics: topics} do
      Topics.subscribe(topics, "slow")
      session = session(name, topics, "slow")
      # Waits to be let through while all else goes on.
      Graphport.demand!(session, "echo")
      assert_receive {:may, first}, 5_000
      for _ <- 1..3, do: Graphport.demand!(session, "flood:1000")
      send(first, :may)

      told =
        let_through_until(fn message ->
          match?({:workflow_output, "flood:1000", _}, message) and
            Process.put(:floods, Process.get(:floods, 0) + 1) == 2
        end)

      assert [{:workflow_output, "echo", _} | rest] = told
      text = Enum.map_join(0..999, &"a#{&1}")

      assert rest ==
               List.duplicate([{:workflow_stream, "f", text}, {:workflow_output, "flood:1000", %{}}], 3)
               |> List.flatten()
    end
  end

  describe "the options" do
    test "take Phoenix.PubSub by name, with a default for the instance", %{name: name} do
      pubsub = :"#{name} phoenix"
      start_supervised!({Phoenix.PubSub, name: pubsub})
      :ok = Phoenix.PubSub.subscribe(pubsub, "a")
      start_peer(name, pubsub: pubsub)
      Graphport.demand!(Graphport.open!(name, %{}, topic: "a"), "echo")
      assert_receive {:workflow_output, "echo", _outputs}, 5_000
    end

    test "of a session go before the instance's", %{name: name, topics: topics} do
      pubsub = :"#{name} phoenix"
      start_supervised!({Phoenix.PubSub, name: pubsub})
      start_peer(name, pubsub: pubsub)
      session = Graphport.open!(name, %{}, topic: "topic", pubsub: {Topics, topics})
      Graphport.demand!(session, "echo")
      assert_receive {:workflow_output, "echo", _outputs}, 5_000
    end

    test "that cannot work are refused where they are given", %{name: name, topics: topics} do
      refused = fn text, function -> assert_raise(ArgumentError, text, function) end
      options = peer_options(name)

      refused.("option :pubsub: no Phoenix.PubSub named Nobody is running; start it before Graphport", fn ->
        Graphport.start_link([pubsub: Nobody] ++ options)
      end)

      refused.("option :pubsub: Enum.broadcast/3 is not defined", fn ->
        Graphport.start_link([pubsub: {Enum, 1}] ++ options)
      end)

      refused.(~r/expected the name of a Phoenix.PubSub or {module, argument}, got: "text"/, fn ->
        Graphport.start_link([pubsub: "text"] ++ options)
      end)

      start_peer(name)

      refused.("option :topic of Graphport.open/3 needs a pubsub:, there or in Graphport.start_link/1", fn ->
        Graphport.open(name, %{}, topic: "topic")
      end)

      refused.("option :pubsub of Graphport.open/3 needs a topic:", fn ->
        Graphport.open(name, %{}, pubsub: {Topics, topics})
      end)
    end

    test "without a topic leave a session as it is", %{name: name, topics: topics} do
      log =
        capture_log(fn ->
          start_peer(name, pubsub: {Topics, topics})
          session = Graphport.open!(name, %{})
          Graphport.demand!(session, "stream")
        end)

      {:ok, instance} = Instance.fetch(name)
      assert DynamicSupervisor.count_children(instance.broadcasters).active == 0
      refute log =~ "#{inspect(name)}"
      refute_received {:workflow_output, _, _}
    end
  end

  defp text(chunks, node), do: Enum.map_join(chunks, fn {n, chunk} -> if n == node, do: chunk, else: "" end)
end
