defmodule Graphport.Faults.RemoteLossTest do
  # The other BEAM node is gone from one moment to the next: whoever waited is told once, whatever worked for it stops.
  use Graphport.Case, async: true

  alias Graphport.{Demand, Error, Peers}
  alias Graphport.Remote.{Proxy, Relay}

  defp graph(type), do: %{nodes: [%{id: "n", type: type, data: %{}}], edges: []}

  defp nothing_left(name, peer) do
    eventually(fn -> match?({:ok, %{open_demands: 0}}, Graphport.info(name)) end)
    eventually(fn -> Enum.flat_map([Proxy, Relay], &Peers.leading(&1, node(), peer.node)) == [] end)
  end

  for {how, end_node} <- [{"killed", :kill}, {"stopped", :stop}, {"disconnected", :disconnect}] do
    test "demands, sessions and streams of a node that is #{how} end", %{name: name} do
      peer = Peers.start()
      start_peer(name)
      {:ok, home} = Graphport.open(name, %{})
      {:ok, theirs} = Peers.open(peer, {name, node()}, %{})
      assert {:ok, %{open_sessions: 2}} = Graphport.info(name)

      callers =
        for session <- [home, theirs] do
          receives = Peers.act(peer, self(), :demand_async, [session, "silent", []])
          assert_receive {:returned, ^receives, {:ok, %Demand{}}}, 5_000
          waits = Peers.act(peer, self(), :demand, [session, "silent", [timeout: :infinity]])
          reader = Peers.read(peer, self(), session, "count:1000000", window: 4)
          assert_receive {:chunk, ^reader, "0"}, 5_000
          {receives, waits}
        end

      # A receiver there, of a demand that was made here.
      {:ok, %Demand{}} = Graphport.demand_async(home, "silent", to: Peers.idle(peer))
      eventually(fn -> match?({:ok, %{open_demands: 7}}, Graphport.info(name)) end)
      end_node(unquote(end_node), peer)

      assert {:ok, %{"ids" => cancelled}} = Graphport.demand(home, "cancels:7")
      assert cancelled == Enum.uniq(cancelled)
      nothing_left(name, peer)
      eventually(fn -> match?({:ok, %{open_sessions: 1}}, Graphport.info(name)) end)
      assert {:ok, %{}} = Graphport.demand(home, "echo")
      if unquote(end_node) == :disconnect, do: told_once(callers)
    end
  end

  # They live, and tell over a new connection.
  defp told_once(callers) do
    for {receives, waits} <- callers do
      assert_receive {:came, ^receives, {:demand_error, "silent", %Error{code: :engine_down}}}, 5_000
      assert_receive {:returned, ^waits, {:error, %Error{code: :engine_down, node_id: "silent"}}}, 5_000
    end

    assert mailbox() == []
  end

  defp end_node(:kill, peer), do: signal(peer.os_pid, "KILL")
  defp end_node(:stop, peer), do: :peer.stop(peer.control)
  defp end_node(:disconnect, peer), do: Node.disconnect(peer.node)

  test "the real engine's work ends with the node that asked for it", %{name: name} do
    peer = Peers.start()
    start_engine(name, nodes: ["graphport_test_nodes"])
    {:ok, endless} = Graphport.open(name, graph("endless"))
    {:ok, running} = Graphport.open(name, graph("endless-running"))
    reader = Peers.read(peer, self(), endless, "n", [])
    assert_receive {:chunk, ^reader, "0 " <> _more}, 5_000
    assert {:ok, %{"value" => 1}} = Graphport.demand(running, "n")
    signal(peer.os_pid, "KILL")
    eventually(fn -> Graphport.demand(running, "n") == {:ok, %{"value" => 0}} end)
    nothing_left(name, peer)
  end

  test "whoever waits for an engine on a node that is killed is told once", %{name: name} do
    peer = Peers.start()
    :ok = Peers.start_instance(peer, peer_options(name))
    {:ok, session} = Graphport.open({name, peer.node}, %{})
    {:ok, %{engines: [%{os_pid: engine}]}} = Graphport.info({name, peer.node})
    for n <- 1..20, do: {:ok, _demand} = Graphport.demand_async(session, "silent", tag: n)
    {:ok, _demand} = Graphport.demand_async(session, "count:100000", tag: :stream)
    waits = Task.async(fn -> Graphport.demand(session, "silent") end)
    test = self()

    streams =
      Task.async(fn ->
        assert_raise Error, ~r/engine_down/, fn ->
          session |> Graphport.stream("count:1000000", window: 4) |> Enum.each(&send(test, {:chunk, &1}))
        end
      end)

    assert_receive {:chunk, "100"}, 5_000
    signal(peer.os_pid, "KILL")

    for n <- 1..20,
        do: assert_receive({:graphport, ^n, {:demand_error, "silent", %Error{code: :engine_down}}}, 5_000)

    assert {:error, %Error{code: :engine_down, node_id: "silent"}} = Task.await(waits)
    assert %Error{code: :engine_down} = Task.await(streams)
    # The stream may have been done before; it has one last message either way, and nothing follows it.
    assert_receive {:graphport, :stream, {last, "count:100000", _value}}
                   when last in [:demand_complete, :demand_error],
                   5_000

    eventually(fn -> Peers.leading(Relay, node(), peer.node) == [] end)
    others = Enum.reject(mailbox(), &match?({:chunk, _text}, &1))
    assert Enum.all?(others, &match?({:graphport, :stream, {:node_stream, _node, _text}}, &1))

    for answer <- [
          Graphport.demand_async(session, "echo"),
          Graphport.demand(session, "echo"),
          Graphport.open({name, peer.node}, %{})
        ],
        do: assert({:error, %Error{code: :engine_down}} = answer)

    assert :ok = Graphport.close(session)
    eventually(fn -> not os_alive?(engine) end)
  end

  test "a handle of a node's earlier life is of no session of its next", %{name: name} do
    peer = Peers.start()
    :ok = Peers.start_instance(peer, peer_options(name))
    {:ok, old} = Graphport.open({name, peer.node}, %{})
    {:ok, demand} = Graphport.demand_async(old, "silent")
    signal(peer.os_pid, "KILL")
    assert_receive {:demand_error, "silent", %Error{code: :engine_down}}, 5_000

    again =
      peer.node |> Atom.to_string() |> String.split("@") |> hd() |> String.to_charlist() |> Peers.start()

    :ok = Peers.start_instance(again, peer_options(name))
    {:ok, new} = Graphport.open({name, again.node}, %{})
    # What the numbers would say if nothing else were looked at.
    old = %{old | id: new.id}
    {:ok, %Demand{ref: ref}} = Graphport.demand_async(new, "silent")
    assert {:error, %Error{code: :unknown_session}} = Graphport.demand(old, "echo")
    assert :ok = Graphport.cancel(%{demand | ref: ref, session: old})
    assert :ok = Graphport.cancel(%Demand{ref: ref, node: "silent", session: new})
    assert_receive {:demand_error, "silent", %Error{code: :cancelled}}, 5_000
    assert {:ok, %{"ids" => [^ref]}} = Graphport.demand(new, "cancels:1")
  end
end
