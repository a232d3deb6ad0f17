defmodule Graphport.RemoteTest do
  # Sessions of another BEAM node: the engine is there, the caller is here. What can be asked at home can be asked across,
  # and gives the same.
  use Graphport.Case, async: true

  alias Graphport.{Demand, Error, Peers, Session}
  alias Graphport.Instance.Mailboxes
  alias Graphport.Remote.{Proxy, Relay}

  setup_all do
    {:ok, peer: Peers.start()}
  end

  setup %{name: name, peer: peer} do
    :ok = Peers.start_instance(peer, peer_options(name))
    there = {name, peer.node}
    {:ok, session} = Graphport.open(there, %{})
    assert node(session.pid) == peer.node
    {:ok, session: session, there: there}
  end

  # The same graph and scripted engine at home.
  defp home(name) do
    {:ok, home} = name |> start_peer() |> Graphport.open(%{})
    home
  end

  defp messages_until_last do
    receive do
      {:demand_complete, _node, _outputs} -> []
      {:node_stream, _node, _chunk} = message -> [message | messages_until_last()]
    end
  end

  # What a demand brings, up to its last message.
  defp messages(session, node, options) do
    case Graphport.demand_async(session, node, options) do
      {:ok, %Demand{ref: ref, node: ^node, session: ^session}} -> collect(ref)
      {:error, _error} = failed -> failed
    end
  end

  defp collect(ref) do
    receive do
      {:graphport, ^ref, message} -> [{:graphport, :ref, message} | rest(ref, message)]
      message -> [message | rest(ref, untagged(message))]
    after
      5_000 -> flunk("no last message")
    end
  end

  defp untagged({:graphport, _tag, message}), do: message
  defp untagged(message), do: message

  defp rest(_ref, {last, _node, _value}) when last in [:demand_complete, :demand_error], do: []
  defp rest(ref, _message), do: collect(ref)

  defp nothing_left({_name, peer} = there) do
    assert mailbox() == []
    assert Process.info(self(), :monitors) == {:monitors, []}
    assert Process.info(self(), :links) |> elem(1) |> Enum.filter(&(is_pid(&1) and node(&1) != node())) == []
    eventually(fn -> match?({:ok, %{open_demands: 0}}, Graphport.info(there)) end)

    eventually(fn -> Peers.leading(Proxy, peer, node()) == [] and Peers.leading(Relay, node(), peer) == [] end)
  end

  describe "as at home" do
    test "a process that does not read is not flooded, and gets the rest when it does", context do
      %{session: session, there: there} = context
      test = self()

      receiver =
        spawn_link(fn ->
          receive do: (:read -> :ok)
          send(test, {:read, messages_until_last()})
        end)

      {:ok, _demand} = Graphport.demand_async(session, "count:30000", to: receiver)
      {most, _few} = Mailboxes.limits()
      eventually(fn -> Peers.queue(receiver) > most end)
      # Time enough for all of it, at the pace of a window.
      for _ <- 1..500, do: {:ok, _outputs} = Graphport.demand(session, "echo")
      assert Peers.queue(receiver) <= most + 128
      send(receiver, :read)
      assert_receive {:read, messages}, 10_000
      text = for({:node_stream, _node, chunk} <- messages, into: "", do: chunk)
      assert text == Enum.map_join(0..29_999, &Integer.to_string/1)
      nothing_left(there)
    end

    test "messages, in order, of every kind of demand", %{session: session, there: there, name: name} do
      home = home(name)

      for {node, options} <- [
            {"stream", []},
            {"stream", [stream: :all]},
            {"stream", [stream: ["x", "y"]]},
            {"stream", [stream: false]},
            {"stream", [tag: {"a", 1}]},
            {"stream", [tag: true]},
            {"events", [events: true]},
            {"events", []},
            {"chunks_then:node_failed", []},
            {"error:overloaded", [tag: true]},
            {"nobody", []},
            {["a", "b"], [stream: false, inputs: %{"a" => %{"v" => [1, 2.5, "x"]}}, fresh: true]},
            {"*", [stream: false]},
            {"twice", []}
          ] do
        at_home = messages(home, node, options)
        assert messages(session, node, options) == at_home
        assert match?([_ | _], at_home)
      end

      nothing_left(there)
    end

    test "answers and errors of demand/3", %{session: session, there: there, name: name} do
      home = home(name)

      for {node, options} <- [
            {"big:10", []},
            {"stream", []},
            {["a", "b"], [inputs: %{"a" => %{"v" => 1}}]},
            {"error:node_failed", []},
            {"nobody", []},
            {"echo", [inputs: %{"a" => %{"v" => self()}}]}
          ] do
        at_home = Graphport.demand(home, node, options)
        there = Graphport.demand(session, node, options)
        assert Map.drop(plain(there), ["session"]) == Map.drop(plain(at_home), ["session"])
      end

      assert_raise Error, ~r/node_failed/, fn -> Graphport.demand!(session, "error:node_failed") end
      nothing_left(there)
    end

    defp plain({:ok, outputs}),
      do: outputs |> Map.new(fn {k, v} -> {k, Map.drop(map(v), ["deadline_ms"])} end)

    defp plain({:error, error}), do: %{error: error}
    defp map(%{"options" => options}), do: Map.drop(options, ["deadline_ms"])
    defp map(value), do: %{value: value}

    test "streams, whole and cut short", %{session: session, there: there, name: name} do
      home = home(name)

      for {node, options} <- [
            {"count:500", []},
            {"count:20", [window: 1]},
            {"ports:100", [window: 4]},
            {"stream", [stream: :all]},
            {"stream", [stream: false, elements: :messages]},
            {"events", [elements: :messages, events: true]}
          ] do
        at_home = home |> Graphport.stream(node, options) |> Enum.to_list()
        assert session |> Graphport.stream(node, options) |> Enum.to_list() == at_home
      end

      assert session |> Graphport.stream("count:1000000", window: 4) |> Enum.take(3) == ["0", "1", "2"]

      for stream <- [
            Graphport.stream(session, "chunks_then:node_failed"),
            Graphport.stream(session, "nobody")
          ] do
        assert_raise Error, fn -> Enum.to_list(stream) end
      end

      assert_raise Error, ~r/deadline_exceeded/, fn ->
        session |> Graphport.stream("silent", timeout: 50) |> Enum.to_list()
      end

      nothing_left(there)
    end

    test "2,000 chunks come in order, to a receiver that grants nothing itself", context do
      %{session: session, there: there} = context
      {:ok, _demand} = Graphport.demand_async(session, "count:2000")

      for n <- 0..1_999 do
        text = Integer.to_string(n)
        assert_receive {:node_stream, "count:2000", ^text}, 5_000
      end

      assert_receive {:demand_complete, "count:2000", %{"n" => 2_000}}, 5_000
      nothing_left(there)
    end

    test "values in parts, both ways", %{session: session, there: there} do
      data = :crypto.strong_rand_bytes(3_000_000)
      inputs = %{"sizes" => %{"v" => Graphport.bytes(data)}}

      assert {:ok, %{"ports" => %{"v" => [3_000_000, crc]}}} =
               Graphport.demand(session, "sizes", inputs: inputs)

      assert crc == :erlang.crc32(data)
      {:ok, _demand} = Graphport.demand_async(session, "parts:whole:5000000", inputs: inputs)
      assert_receive {:demand_complete, "parts:whole:5000000", %{"data" => text}}, 10_000
      assert text == String.duplicate("x", 5_000_000)
      nothing_left(there)
    end

    test "cancel/1, by any process", %{session: session, there: there} do
      {:ok, demand} = Graphport.demand_async(session, "silent")
      assert Task.await(Task.async(fn -> Graphport.cancel(demand) end)) == :ok
      assert_receive {:demand_error, "silent", %Error{code: :cancelled}}, 5_000
      assert {:ok, %{"ids" => [ref]}} = Graphport.demand(session, "cancels:1")
      assert ref == demand.ref
      assert :ok = Graphport.cancel(demand)
      nothing_left(there)
    end

    test "close/1 ends what is open, and the handle", %{there: there} do
      {:ok, session} = Graphport.open(there, %{}, name: "closing")
      assert {:ok, ^session} = Graphport.session(there, "closing")
      assert {:error, %Error{code: :duplicate_id}} = Graphport.open(there, %{}, name: "closing")
      assert :ok = Graphport.close(session)
      assert {:error, %Error{code: :unknown_session}} = Graphport.session(there, "closing")
      assert {:error, %Error{code: :unknown_session}} = Graphport.demand_async(session, "echo")
      assert {:error, %Error{code: :unknown_session}} = Graphport.demand(session, "echo")
      assert_raise Error, ~r/unknown_session/, fn -> Enum.to_list(Graphport.stream(session, "echo")) end
      assert :ok = Graphport.close(session)
      nothing_left(there)
    end

    test "to: another process, whose end cancels the demand", %{session: session, there: there} do
      task = Task.async(fn -> collect(nil) end)
      {:ok, _demand} = Graphport.demand_async(session, "stream", to: task.pid)
      assert [_, _, _, _, {:demand_complete, "stream", %{}}] = Task.await(task)

      receiver = spawn(fn -> receive do: (:never -> :ok) end)
      {:ok, %Demand{ref: id}} = Graphport.demand_async(session, "silent", to: receiver)
      Process.exit(receiver, :kill)
      assert {:ok, %{"ids" => [^id]}} = Graphport.demand(session, "cancels:1")
      nothing_left(there)
    end

    test "the end of a caller that waits, or reads, cancels the demand", %{session: session, there: there} do
      waits = fn -> Graphport.demand(session, "silent") end
      reads = fn -> session |> Graphport.stream("count:1000000") |> Enum.each(&hold/1) end

      for work <- [waits, reads] do
        caller = spawn(work)
        eventually(fn -> match?({:ok, %{open_demands: 1}}, Graphport.info(there)) end)
        Process.exit(caller, :kill)
        eventually(fn -> match?({:ok, %{open_demands: 0}}, Graphport.info(there)) end)
      end

      assert {:ok, %{"ids" => [_, _]}} = Graphport.demand(session, "cancels:2")
      nothing_left(there)
    end

    defp hold("0"), do: receive(do: (:never -> :ok))

    test "an instance that stops there says so", %{session: session, there: {name, peer}} do
      {:ok, _demand} = Graphport.demand_async(session, "silent")
      waits = Task.async(fn -> Graphport.demand(session, "silent") end)
      eventually(fn -> match?({:ok, %{open_demands: 2}}, Graphport.info({name, peer})) end)
      :ok = :erpc.call(peer, Supervisor, :stop, [name])
      assert_receive {:demand_error, "silent", %Error{code: :shutting_down}}, 5_000
      assert {:error, %Error{code: :shutting_down, node_id: "silent"}} = Task.await(waits)
      assert {:error, %Error{code: :unknown_session}} = Graphport.demand(session, "echo")
      assert {:error, %Error{code: :unknown_instance}} = Graphport.info({name, peer})
    end

    test "wrong arguments raise in the caller", %{session: session} do
      for demand <- [&Graphport.demand/3, &Graphport.demand_async/3, &Graphport.stream/3] do
        assert_raise ArgumentError, ~r/unknown option/, fn -> demand.(session, "a", sream: 1) end
        assert_raise ArgumentError, ~r/expected a node id/, fn -> demand.(session, :a, []) end
      end
    end

    test "a deadline ends the waiting and the work", %{session: session, there: there} do
      assert {:error, %Error{code: :deadline_exceeded, node_id: "silent"}} =
               Graphport.demand(session, "silent", timeout: 50)

      {:ok, _demand} = Graphport.demand_async(session, "silent", timeout: 50)
      assert_receive {:demand_error, "silent", %Error{code: :deadline_exceeded}}, 5_000
      nothing_left(there)
    end
  end

  test "what is asked about a session is asked there", %{session: session} do
    assert {:ok, [%{"what" => "graph", "args" => %{"session" => number}}]} = Graphport.graph(session)
    events = [{"a", %{"event" => "cached"}}]
    assert {:ok, [%{"what" => "dot", "args" => args}]} = Graphport.dot(session, events: events)
    assert args == %{"session" => number, "timings" => %{"a" => %{"state" => "cached", "us" => nil}}}
    :ok = Graphport.close(session)
    assert {:error, %Error{code: :unknown_session}} = Graphport.mermaid(session)
    assert mailbox() == []
  end

  describe "{name, node}" do
    test "stands for the instance, also on this node", %{there: there, name: name, peer: peer} do
      start_peer(name)
      assert {:ok, %{status: :up, engines: [%{os_pid: os_pid}]}} = Graphport.info(there)
      assert os_pid != os_pid(name)
      assert {:ok, [%{"what" => "nodes", "args" => %{"type" => "t"}}]} = Graphport.nodes(there, type: "t")
      assert {:error, %Error{code: :unknown_type}} = Graphport.nodes(there, type: "nobody")
      assert {:error, %Error{code: :deadline_exceeded}} = Graphport.nodes(there, type: "silent", timeout: 50)
      assert {:error, %Error{code: :invalid_graph}} = Graphport.open(there, %{"error" => "invalid_graph"})
      home = {name, node()}
      assert {:ok, %Session{instance: ^name} = session} = Graphport.open(home, %{}, name: 1)
      assert {:ok, ^session} = Graphport.session(home, 1)
      assert {:ok, %{status: :up}} = Graphport.info(home)
      assert {:ok, [_type]} = Graphport.nodes(home)
      nowhere = {:nowhere, peer.node}

      for answer <- [
            Graphport.open(nowhere, %{}),
            Graphport.session(nowhere, 1),
            Graphport.info(nowhere),
            Graphport.nodes(nowhere)
          ],
          do: assert({:error, %Error{code: :unknown_instance}} = answer)
    end

    test "of a node that is not there is engine_down, and says so" do
      gone = {:there, :"nobody@127.0.0.1"}

      for answer <- [
            Graphport.open(gone, %{}),
            Graphport.session(gone, 1),
            Graphport.info(gone),
            Graphport.nodes(gone)
          ] do
        assert {:error,
                %Error{code: :engine_down, message: "there is no connection to node nobody@127.0.0.1"}} =
                 answer
      end

      assert mailbox() == []
    end

    test "a session closes with its opener's process", %{there: there} do
      {:ok, %{open_sessions: before}} = Graphport.info(there)
      assert {:ok, %Session{}} = Task.await(Task.async(fn -> Graphport.open(there, %{}, name: "short") end))

      eventually(fn -> match?({:error, %Error{code: :unknown_session}}, Graphport.session(there, "short")) end)

      eventually(fn -> match?({:ok, %{open_sessions: ^before}}, Graphport.info(there)) end)
    end

    test "a session whose opener gave up is closed", %{there: there} do
      # Its engine never answers.
      graph = %{"silent" => true}

      assert {:error, %Error{code: :deadline_exceeded}} =
               Graphport.open(there, graph, name: "given up", timeout: 50)

      eventually(fn ->
        match?({:error, %Error{code: :unknown_session}}, Graphport.session(there, "given up"))
      end)
    end
  end

  test "to: a process of another node gets the messages of a session at home", context do
    %{peer: peer, name: name} = context
    home = home(name)
    actor = Peers.act(peer, self(), :info, [{name, node()}])
    assert_receive {:returned, ^actor, {:ok, %{status: :up}}}, 5_000
    {:ok, _demand} = Graphport.demand_async(home, "stream", to: actor, tag: "t")

    for text <- ["xa0", "ya0", "xa1", "ya1"] do
      assert_receive {:came, ^actor, {:graphport, "t", {:node_stream, _node, ^text}}}, 5_000
    end

    assert_receive {:came, ^actor, {:graphport, "t", {:demand_complete, "stream", %{}}}}, 5_000
    {:ok, %Demand{ref: id}} = Graphport.demand_async(home, "silent", to: actor)
    Process.exit(actor, :kill)
    assert {:ok, %{"ids" => [^id]}} = Graphport.demand(home, "cancels:1")
    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
  end
end
